//! Envoy's own checker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::document::body;
use super::watched::replace;
use super::words;
use crate::command::{CommandLine, CommandRunner};
use crate::engine::failure;

/// 0.05 s, and 0.3 s for 5,000 backends.
const LIMIT: Duration = Duration::from_secs(15);

/// The program, and where it finds what to check.
#[derive(Clone)]
pub struct Checker {
    /// The program.
    pub binary: PathBuf,
    /// Starts it.
    pub commands: Arc<dyn CommandRunner>,
}

impl Checker {
    /// Lets Envoy check the text of a file; it binds nothing and talks to nobody. `at`: where the text is put for Envoy, which
    /// tells JSON by the name of the file and knows no comments in it.
    pub async fn run(&self, file: &Path, at: &Path, step: Step) -> Result<(), Failure> {
        let text = fs_err::read_to_string(file).map_err(|e| words::unwritten(step, &e))?;
        replace(at, body(&text)).map_err(|e| words::unwritten(step, &e))?;
        let args = ["--mode", "validate", "--disable-hot-restart", "-l", "error", "-c"];
        let args = args.iter().map(Into::into).chain([at.into()]).collect();
        let command = CommandLine { program: self.binary.clone(), args, limit: LIMIT };
        let ended = self.commands.run(&command).await;
        _ = std::fs::remove_file(at);
        let ended = ended.map_err(|e| failure::from_command(step, &e))?;
        if ended.success { Ok(()) } else { Err(words::refused(step, complaint(&ended.output))) }
    }
}

/// The line that says what is wrong; all of it when there is no such line.
fn complaint(output: &str) -> &str {
    let telling = output.find("error initializing configuration").or_else(|| output.find("error initializing config"));
    telling.and_then(|at| output.get(at..)).unwrap_or(output).trim()
}
