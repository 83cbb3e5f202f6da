//! The master process and its workers.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid as RawPid, Signal, kill_process};
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use crate::engine::failure;
use crate::engine::procfs::{self, Pid};

/// A master that runs on our file.
#[derive(Clone, Copy, Debug)]
pub struct Master {
    pid: Pid,
}

impl Master {
    /// The one that the pid file names, proved by its command line: pids come again.
    pub fn find(pid_file: &Path, config_file: &Path) -> Option<Self> {
        let pid = pid_in(pid_file)?;
        let line = procfs::command_line(pid)?;
        let is_ours = line.split(' ').any(|word| Path::new(word) == config_file) && line.contains("haproxy");
        is_ours.then_some(Self { pid })
    }

    /// Worker processes, those of earlier configurations included.
    pub fn workers(self) -> Vec<Pid> {
        procfs::children(self.pid)
    }

    /// Workers of earlier configurations, which still hold connections.
    pub fn old_generations(self) -> u64 {
        u64::try_from(self.workers().len().saturating_sub(1)).unwrap_or(u64::MAX)
    }

    /// The master and its workers.
    pub fn family(self) -> Vec<Pid> {
        std::iter::once(self.pid).chain(self.workers()).collect()
    }

    /// Tells it to load the file.
    pub fn reload(self) -> Result<(), Failure> {
        self.signal(Signal::USR2)
    }

    /// Tells it to end once its connections have.
    pub fn quit(self) -> Result<(), Failure> {
        self.signal(Signal::USR1)
    }

    /// Ends a worker at once, if it is one of its own; whether it was told.
    pub fn kill_worker(self, worker: Pid) -> bool {
        let pid = RawPid::from_raw(worker).filter(|_| self.workers().contains(&worker));
        pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
    }

    fn signal(self, signal: Signal) -> Result<(), Failure> {
        let pid = RawPid::from_raw(self.pid);
        let sent = pid.map_or(Err(rustix::io::Errno::SRCH), |pid| kill_process(pid, signal));
        sent.map_err(|e| {
            let cure = "run tidegate as the user that started HAProxy, or as root";
            failure::transient(Step::Reload, format!("signalling the HAProxy master {}: {e}", self.pid), cure)
        })
    }
}

/// HAProxy removes its pid file and writes another while it reloads: what is missing or empty may be there in a moment.
fn pid_in(file: &Path) -> Option<Pid> {
    const PAUSE: Duration = Duration::from_millis(1);
    const PAUSES: usize = 5;
    let read = || std::fs::read_to_string(file).unwrap_or_default().trim().parse().ok();
    (0..PAUSES).find_map(|_| {
        let pid = read();
        if pid.is_none() {
            std::thread::sleep(PAUSE);
        }
        pid
    })
}
