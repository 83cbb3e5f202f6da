//! `nginx -t` on a candidate.

use std::path::Path;
use std::time::Duration;

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::words;
use crate::command::{CommandLine, CommandRunner};
use crate::engine::failure;

/// 14 ms for 5,000 backends; host names in a user's template may need a DNS server that does not answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Lets nginx check a file. It is not live, so nothing is at stake; nginx's messages go to its standard
/// error only, never to the log in which a failed reload is looked for.
pub async fn run(binary: &Path, candidate: &Path, commands: &dyn CommandRunner) -> Result<(), Failure> {
    let args = vec!["-t".into(), "-q".into(), "-e".into(), "stderr".into(), "-c".into(), candidate.into()];
    let command = CommandLine { program: binary.to_owned(), args, limit: LIMIT };
    let ended = commands.run(&command).await.map_err(|e| failure::from_command(Step::Validate, &e))?;
    if ended.success {
        return Ok(());
    }
    Err(words::from_output(Step::Validate, &ended.output))
}
