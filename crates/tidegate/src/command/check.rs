//! `tidegate check`: everything that is wrong with a configuration file, at once.

use serde::Serialize;

use crate::cli::{CheckArgs, Output};
use crate::config::Role;
use crate::config::load::{Examined, describe, examine};
use crate::config::problem::{Problem, Severity};
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, print, print_json};

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    ok: bool,
    roles: &'a [Role],
    problems: &'a [Problem],
}

/// Checks the file; ends with [`Exit::Usage`] when Tidegate could not run with it.
pub fn check(args: &CheckArgs, screen: Screen) -> Result<Exit, CommandError> {
    let Examined { roles, problems } = examine(&args.config, args.role, !args.no_files)?;
    let ok = problems.iter().all(|p| p.severity == Severity::Warning);
    match args.output {
        Output::Json => {
            let file = args.config.display().to_string();
            print_json(&Report { file, ok, roles: &roles, problems: &problems })?;
        }
        Output::Table => {
            if !problems.is_empty() {
                print(&format!("{}\n", describe(&args.config, &problems)))?;
            }
            if ok {
                let commands: Vec<String> = roles.iter().map(|role| format!("`tidegate {}`", role.as_str())).collect();
                let verdict = screen.style.good("good");
                print(&format!("{}: {verdict} for {}\n", args.config.display(), commands.join(" and ")))?;
            }
        }
    }
    Ok(if ok { Exit::Fine } else { Exit::Usage })
}
