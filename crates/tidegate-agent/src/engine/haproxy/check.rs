//! `haproxy -c` on a candidate.

use std::path::Path;
use std::time::Duration;

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use crate::command::{CommandLine, CommandRunner};
use crate::engine::failure;

/// 34 ms, 0.2 s for 5,000 servers; host names in a user's template may need a DNS server that does not answer.
const LIMIT: Duration = Duration::from_secs(15);

/// Lets HAProxy check a file.
pub async fn run(binary: &Path, candidate: &Path, commands: &dyn CommandRunner) -> Result<(), Failure> {
    let args = vec!["-c".into(), "-q".into(), "-f".into(), candidate.into()];
    let command = CommandLine { program: binary.to_owned(), args, limit: LIMIT };
    let ended = commands.run(&command).await.map_err(|e| failure::from_command(Step::Validate, &e))?;
    if ended.success {
        return Ok(());
    }
    let cure = "look at the lines of the configuration that HAProxy names (`tidegate render` shows it); correct the listeners or the template";
    Err(failure::permanent(Step::Validate, alerts(&ended.output), cure))
}

/// What HAProxy complains of, without its greeting and its summary.
fn alerts(output: &str) -> String {
    let lines = output.lines().filter(|line| line.contains("[ALERT]") || line.contains("[WARNING]"));
    let said: Vec<&str> = lines.filter_map(|line| line.split_once(" : ").map(|(_, said)| said.trim())).collect();
    if said.is_empty() { output.trim().to_owned() } else { said.join("; ") }
}
