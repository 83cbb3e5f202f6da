//! Our nginx master process, found by its pid file and proved by its command line.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid as RawPid, Signal, kill_process};
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::Instant;

use crate::engine::failure;
use crate::engine::procfs::{self, Pid};

const TITLE: &str = "nginx: master process";
/// What nginx makes of the title of a worker that takes no more connections.
const QUITTING: &str = "shutting down";
const STOP_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(2);

/// A running master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Master {
    pid: Pid,
}

impl Master {
    /// The master that the pid file names, if it is an nginx that was started with this configuration.
    pub fn find(pid_file: &Path, config_file: &Path) -> Option<Self> {
        let pid: Pid = std::fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
        let line = procfs::command_line(pid)?;
        let started_with = format!("-c {}", config_file.display());
        let ours =
            line.starts_with(TITLE) && (line.ends_with(&started_with) || line.contains(&format!("{started_with} ")));
        (pid > 1 && ours).then_some(Self { pid })
    }

    /// Its process id.
    pub const fn pid(self) -> Pid {
        self.pid
    }

    /// Workers that take connections.
    pub fn workers(self) -> Vec<Pid> {
        procfs::children(self.pid).into_iter().filter(|pid| accepts(*pid)).collect()
    }

    /// How many reloads ago the oldest connection was opened, at most: each reload leaves as many workers
    /// as there are, so their number in units of that.
    pub fn old_generations(self) -> u64 {
        let (quitting, accepting): (Vec<_>, Vec<_>) =
            procfs::children(self.pid).into_iter().partition(|pid| is_quitting(*pid));
        u64::try_from(quitting.len().div_ceil(accepting.len().max(1))).unwrap_or(u64::MAX)
    }

    /// Tells it to load its configuration file again.
    pub fn hang_up(self) -> Result<(), Failure> {
        signal(self.pid, Signal::HUP).map_err(|e| {
            let cure = "tidegate starts nginx again by itself if it is gone; else run tidegate as nginx's user or root";
            failure::transient(Step::Reload, format!("sending HUP to the nginx master {}: {e}", self.pid), cure)
        })
    }

    /// Ends it gracefully and waits until it accepts nothing any more.
    pub async fn quit(self) -> Result<(), Failure> {
        let workers = self.workers();
        let deadline = Instant::now() + STOP_LIMIT;
        _ = signal(self.pid, Signal::QUIT);
        while workers.iter().any(|pid| accepts(*pid)) {
            if Instant::now() > deadline {
                let message = format!("nginx master {} does not quit", self.pid);
                return Err(failure::transient(
                    Step::Reload,
                    message,
                    "look at nginx's error log and end it by its pid",
                ));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// Whether a worker still takes connections.
pub fn accepts(pid: Pid) -> bool {
    procfs::command_line(pid).is_some_and(|line| line.starts_with("nginx:") && !line.contains(QUITTING))
}

fn is_quitting(pid: Pid) -> bool {
    procfs::command_line(pid).is_some_and(|line| line.contains(QUITTING))
}

/// Sends a signal to one process.
pub fn signal(pid: Pid, signal: Signal) -> rustix::io::Result<()> {
    let pid = RawPid::from_raw(pid).ok_or(rustix::io::Errno::SRCH)?;
    kill_process(pid, signal)
}
