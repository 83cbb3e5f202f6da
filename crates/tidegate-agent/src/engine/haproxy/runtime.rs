//! The Runtime API of a worker, and the CLI of its master.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::change::Change;
use super::live::{Live, parse};
use crate::engine::{failure, unix};

/// A worker answers within 10 ms, also for 5,000 servers.
const LIMIT: Duration = Duration::from_secs(3);
/// HAProxy reads a line of at most one buffer (tune.bufsize, 16 KiB).
const LINE: usize = 12 * 1024;

/// The socket of a worker.
#[derive(Clone, Debug)]
pub struct Runtime {
    socket: PathBuf,
}

impl Runtime {
    /// At this path.
    pub const fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The structure that the worker was started with; nothing when it was started with a file that is not ours.
    pub async fn structure(&self) -> io::Result<Option<ContentHash>> {
        let answer = unix::ask(&self.socket, b"show info\n", LIMIT).await?;
        let description = answer.lines().find_map(|line| line.strip_prefix("description: "));
        Ok(description.and_then(|text| ContentHash::parse(text.trim()).ok()))
    }

    /// What the worker serves.
    pub async fn live(&self) -> Result<Live, Failure> {
        let answer =
            unix::ask(&self.socket, b"show servers state\n", LIMIT).await.map_err(|e| unanswered(&self.socket, &e))?;
        let cure = "report it with the version of HAProxy; use engine.nginx meanwhile";
        parse(&answer).map_err(|e| failure::permanent(Step::Verify, e.to_string(), cure))
    }

    /// Sends changes in their order; answers what HAProxy said to them, which is no proof of anything.
    pub async fn send(&self, changes: &[Change]) -> Result<String, Failure> {
        let mut said = Vec::new();
        for line in lines(changes.iter().flat_map(Change::commands)) {
            let answer = unix::ask(&self.socket, line.as_bytes(), LIMIT).await;
            let answer = answer.map_err(|e| unanswered(&self.socket, &e))?;
            said.extend(answer.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
        }
        said.sort();
        said.dedup();
        Ok(said.join("; "))
    }
}

/// Failed reloads of the master so far; nothing while it is starting anew or does not answer.
pub async fn failed_reloads(master_socket: &Path) -> Option<u64> {
    let answer = unix::ask(master_socket, b"show proc\n", LIMIT).await.ok()?;
    let (_, rest) = answer.split_once("[failed: ")?;
    rest.split(']').next()?.trim().parse().ok()
}

fn unanswered(socket: &Path, error: &io::Error) -> Failure {
    let message = format!("asking HAProxy at {}: {error}", socket.display());
    failure::transient(Step::Verify, message, "look at haproxy.log in agent.stateDir; tidegate tries again by itself")
}

/// Commands joined to as few lines as HAProxy can read.
fn lines(commands: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for command in commands {
        match lines.last_mut().filter(|line| line.len() + command.len() < LINE) {
            Some(line) => {
                line.push_str("; ");
                line.push_str(&command);
            }
            None => lines.push(command),
        }
    }
    lines.iter_mut().for_each(|line| line.push('\n'));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_commands_are_few_lines_and_none_is_too_long() {
        let commands: Vec<String> = (0..5000).map(|n| format!("add server http/10-0-0-{n}_80 10.0.0.1:80")).collect();
        let lines = lines(commands.iter().cloned());
        assert!(lines.iter().all(|line| line.len() <= LINE && line.ends_with('\n')));
        assert!(lines.len() < 25, "{}", lines.len());
        let all: Vec<&str> = lines.iter().flat_map(|line| line.trim_end().split("; ")).collect();
        assert_eq!(all, commands.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
