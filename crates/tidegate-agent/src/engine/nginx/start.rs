//! Starting nginx, after what a killed master left behind was put away.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::Signal;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::{Instant, sleep};

use super::master::{Master, accepts, signal};
use super::view::Paths;
use super::{Nginx, marker, words};
use crate::command::CommandLine;
use crate::engine::procfs::{self, Pid};
use crate::engine::{Confirmation, failure};

/// nginx gives up binding after 2.5 s.
const START_LIMIT: Duration = Duration::from_secs(15);
/// A worker closes its listeners within milliseconds after QUIT.
const ORPHAN_LIMIT: Duration = Duration::from_secs(3);
/// The master writes its pid file and its workers accept within milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);

/// Starts nginx as a daemon of its own session, so that it outlives this agent.
pub async fn run(nginx: &Nginx, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
    retire_orphans(&nginx.paths).await?;
    // Left behind by a master that was killed; nginx would take it for a taken address.
    drop(std::fs::remove_file(&nginx.paths.marker_socket));
    let args = vec!["-c".into(), nginx.config_file.clone().into(), "-e".into(), nginx.paths.error_log.clone().into()];
    let command = CommandLine { program: nginx.binary.clone(), args, limit: START_LIMIT };
    let ended = nginx.commands.run(&command).await.map_err(|e| failure::from_command(Step::Reload, &e))?;
    if !ended.success {
        return Err(words::from_output(Step::Reload, &ended.output));
    }
    tracing::info!(config = %nginx.config_file.display(), "started nginx");
    let (paths, config_file) = (nginx.paths.clone(), nginx.config_file.clone());
    Ok(Box::new(Started { paths, config_file, generation }))
}

/// Workers whose master was killed still hold the listeners: they may finish what they have.
async fn retire_orphans(paths: &Paths) -> Result<(), Failure> {
    let orphans = orphans(paths);
    if orphans.is_empty() {
        return Ok(());
    }
    tracing::warn!(?orphans, "nginx's master is gone: its workers are told to finish their connections");
    for pid in &orphans {
        _ = signal(*pid, Signal::QUIT);
    }
    let deadline = Instant::now() + ORPHAN_LIMIT;
    while orphans.iter().any(|pid| accepts(*pid)) {
        if Instant::now() > deadline {
            let message = format!("nginx workers {orphans:?} have no master and do not quit");
            return Err(failure::transient(Step::Reload, message, "end them by their pids"));
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// nginx processes without a master that hold our log or our marker open, and still accept.
fn orphans(paths: &Paths) -> Vec<Pid> {
    let log = paths.error_log.to_string_lossy().into_owned();
    let sockets = procfs::sockets_at(&paths.marker_socket);
    let holds_ours = |pid: Pid| procfs::open_files(pid).iter().any(|f| *f == log || sockets.contains(f));
    procfs::all().into_iter().filter(|pid| accepts(*pid) && holds_ours(*pid)).collect()
}

struct Started {
    paths: Paths,
    config_file: PathBuf,
    generation: ContentHash,
}

#[async_trait]
impl Confirmation for Started {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let runs = Master::find(&self.paths.pid_file, &self.config_file).is_some();
            if runs && marker::ask(&self.paths.marker_socket).await == Some(self.generation) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let message = format!("nginx was started but did not serve generation {}", self.generation.short());
                return Err(failure::transient(Step::Verify, message, "look at nginx's error log"));
            }
            sleep(POLL).await;
        }
    }
}
