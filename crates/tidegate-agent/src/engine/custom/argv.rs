//! One of the user's commands.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use crate::command::{CommandError, CommandLine, CommandRunner};
use crate::engine::failure;

/// As much of a command's output as a person reads: its end, where programs say what went wrong.
const SHOWN: usize = 2_000;

/// What placeholders stand for.
pub struct About<'a> {
    /// `{file}`
    pub file: &'a Path,
    /// `{generation}`
    pub generation: ContentHash,
}

/// A program and its arguments, with what may be filled in.
#[derive(Clone, Debug)]
pub struct Argv {
    name: &'static str,
    list: Vec<String>,
    limit: Duration,
}

impl Argv {
    /// The command of this name in the configuration.
    pub fn new(name: &'static str, list: &[String], limit: Duration) -> Self {
        Self { name, list: list.to_vec(), limit }
    }

    /// Runs it to its end. A check that fails is permanent: the candidate is to blame. Anything else may succeed unchanged.
    pub async fn run(&self, step: Step, about: &About<'_>, commands: &dyn CommandRunner) -> Result<(), Failure> {
        let cure = || format!("run `{}` by hand; correct agent.engine.custom.{}", self.filled_in(about), self.name);
        match self.ask(about, commands).await {
            Ok(None) => Ok(()),
            Ok(Some(refusal)) if step == Step::Validate => Err(failure::permanent(step, refusal, cure())),
            Ok(Some(refusal)) => Err(failure::transient(step, refusal, cure())),
            Err(error) => Err(Failure { step, class: error.class(), message: error.to_string(), cure: cure() }),
        }
    }

    /// Runs it to its end; what it said when its status was not 0.
    pub async fn ask(&self, about: &About<'_>, commands: &dyn CommandRunner) -> Result<Option<String>, CommandError> {
        let command = self.filled_in(about);
        let ended = commands.run(&command).await?;
        Ok((!ended.success).then(|| match end_of(&ended.output) {
            "" => format!("`{command}` failed and said nothing"),
            output => format!("`{command}` failed: {output}"),
        }))
    }

    fn filled_in(&self, about: &About<'_>) -> CommandLine {
        let (file, generation) = (about.file.to_string_lossy(), about.generation.to_string());
        let fill = |argument: &String| argument.replace("{file}", &file).replace("{generation}", &generation);
        let mut arguments = self.list.iter().map(fill);
        let program = arguments.next().unwrap_or_default().into();
        CommandLine { program, args: arguments.map(OsString::from).collect(), limit: self.limit }
    }
}

fn end_of(output: &str) -> &str {
    let from = output.len().saturating_sub(SHOWN);
    let from = (from..=output.len()).find(|at| output.is_char_boundary(*at)).unwrap_or(output.len());
    output.get(from..).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_within_arguments_and_nothing_else_is_touched() {
        let list = ["/bin/x", "--file={file}", "{generation}", "$(id); {other}"].map(str::to_owned);
        let generation = ContentHash::of_bytes(b"g");
        let filled = Argv::new("check", &list, Duration::from_secs(1))
            .filled_in(&About { file: Path::new("/a b/c"), generation });
        assert_eq!(filled.program, Path::new("/bin/x"));
        assert_eq!(filled.args, ["--file=/a b/c", &generation.to_string(), "$(id); {other}"]);
    }

    #[test]
    fn the_end_of_a_long_output_is_shown() {
        let long = format!("{}the reason\n", "ü".repeat(SHOWN));
        assert!(end_of(&long).ends_with("the reason") && end_of(&long).len() <= SHOWN);
        assert_eq!(end_of(" \n"), "");
    }
}
