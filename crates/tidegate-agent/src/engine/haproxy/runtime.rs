//! The Runtime API of a worker, and the CLI of its master.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::change::Change;
use super::info::{self, Info};
use super::live::{Live, parse};
use super::view::Paths;
use crate::engine::procfs::{self, Pid};
use crate::engine::{failure, unix};

/// A worker answers within 20 ms, also for 5,000 servers.
const LIMIT: Duration = Duration::from_secs(3);
/// It says who it is at once: one that does not is stuck.
const INFO_LIMIT: Duration = Duration::from_secs(1);
/// HAProxy reads a line of at most one buffer (tune.bufsize, 16 KiB).
const LINE: usize = 12 * 1024;

/// The sockets of one HAProxy.
#[derive(Clone, Debug)]
pub struct Runtime {
    stats: PathBuf,
    master: PathBuf,
}

/// A worker that answered, and the way to it.
#[derive(Clone, Debug)]
pub struct Worker {
    /// What it said of itself.
    pub info: Info,
    socket: PathBuf,
    prefix: &'static str,
}

/// How a worker of an earlier configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// It is gone, or takes no more connections.
    Retired,
    /// It still takes connections.
    Accepting,
    /// It does not answer, though its master does.
    Stuck,
    /// Nobody can be asked.
    Unknown,
}

impl Runtime {
    /// At these paths.
    pub fn at(paths: &Paths) -> Self {
        Self { stats: paths.stats_socket.clone(), master: paths.master_socket.clone() }
    }

    /// The worker that takes connections.
    ///
    /// A socket that somebody removed stays removed over reloads, because workers inherit it: then the master passes
    /// the questions on.
    pub async fn worker(&self) -> Result<Worker, Failure> {
        let mut tried = Vec::new();
        for (socket, prefix) in [(&self.stats, ""), (&self.master, "@1; ")] {
            match ask_info(socket, prefix).await {
                Ok(info) => return Ok(Worker { info, socket: socket.clone(), prefix }),
                Err(error) => tried.push(format!("{}: {error}", socket.display())),
            }
        }
        Err(unanswered(&tried.join("; ")))
    }

    /// How a worker is that was there before a reload. The master is asked: the worker's own socket is its successor's.
    pub async fn earlier(&self, pid: Pid) -> Earlier {
        if procfs::command_line(pid).is_none() {
            return Earlier::Retired;
        }
        match unix::ask(&self.master, format!("@!{pid} show info\n").as_bytes(), INFO_LIMIT).await {
            Ok(answer) => match Info::parse(&answer) {
                Some(info) if info.pid == pid && !info.stopping => Earlier::Accepting,
                Some(info) if info.pid == pid => Earlier::Retired,
                _ => Earlier::Unknown,
            },
            Err(_) if self.failed_reloads().await.is_some() => Earlier::Stuck,
            Err(_) => Earlier::Unknown,
        }
    }

    /// Failed reloads of the master so far; nothing while it is starting anew or does not answer.
    pub async fn failed_reloads(&self) -> Option<u64> {
        let answer = unix::ask(&self.master, b"show proc\n", INFO_LIMIT).await.ok()?;
        info::failed_reloads(&answer)
    }
}

async fn ask_info(socket: &std::path::Path, prefix: &str) -> io::Result<Info> {
    let answer = unix::ask(socket, format!("{prefix}show info\n").as_bytes(), INFO_LIMIT).await?;
    Info::parse(&answer).ok_or_else(|| io::Error::other("this is no answer of HAProxy's"))
}

impl Worker {
    /// What it serves.
    pub async fn live(&self) -> Result<Live, Failure> {
        let answer = self.ask("show servers state\n").await?;
        let cure = "report it with the version of HAProxy; use engine.nginx meanwhile";
        parse(&answer).map_err(|e| failure::permanent(Step::Verify, e.to_string(), cure))
    }

    /// Sends changes in their order; answers what HAProxy said to them, which is no proof of anything.
    pub async fn send(&self, changes: &[Change]) -> Result<String, Failure> {
        let mut said = Vec::new();
        for line in lines(changes.iter().flat_map(Change::commands)) {
            let answer = self.ask(&line).await?;
            said.extend(answer.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
        }
        said.sort();
        said.dedup();
        Ok(said.join("; "))
    }

    /// One line of commands, and all that HAProxy says to it.
    pub async fn ask(&self, line: &str) -> Result<String, Failure> {
        let answer = unix::ask(&self.socket, format!("{}{line}", self.prefix).as_bytes(), LIMIT).await;
        answer.map_err(|error| unanswered(&format!("{}: {error}", self.socket.display())))
    }
}

fn unanswered(tried: &str) -> Failure {
    let cure = "look at haproxy.log in agent.stateDir; tidegate tries again by itself";
    failure::transient(Step::Verify, format!("asking HAProxy at {tried}"), cure)
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
    for line in &mut lines {
        line.push('\n');
    }
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
