//! Our Envoy processes, found in the process table and proved by their command line.
//!
//! There is more than one after a restart: the one before keeps its connections until it ends.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid as RawPid, Signal, kill_process};
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::{Instant, sleep};

use crate::engine::failure;
use crate::engine::procfs::{self, Pid};

const STOP_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(2);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: Pid,
    /// How many restarts came before it, without a gap.
    pub epoch: u32,
    /// Tells what it was started with.
    pub key: String,
}

impl Process {
    /// The process of this id, if it is an Envoy that was started in this folder.
    pub fn find(pid: Pid, dir: &Path) -> Option<Self> {
        let line = procfs::command_line(pid)?;
        let mut words = line.split(' ').skip(1);
        // Neither `setsid` nor a wrapper on their way to become one.
        if words.next() != Some("-c") {
            return None;
        }
        let file = Path::new(words.next()?).strip_prefix(dir).ok()?.to_str()?;
        let key = file.strip_prefix("bootstrap-")?.strip_suffix(".json")?.to_owned();
        let mut words = words.skip_while(|word| *word != "--restart-epoch").skip(1);
        Some(Self { pid, epoch: words.next()?.parse().ok()?, key })
    }

    /// All of a folder, the newest first.
    pub fn all(dir: &Path) -> Vec<Self> {
        let mut found: Vec<Self> = procfs::all().into_iter().filter_map(|pid| Self::find(pid, dir)).collect();
        // Two may start within one tick: a successor has the higher epoch.
        found.sort_by_key(|process| std::cmp::Reverse((procfs::started(process.pid), process.epoch)));
        found
    }

    /// Whether it is still there.
    pub fn runs(&self, dir: &Path) -> bool {
        Self::find(self.pid, dir).as_ref() == Some(self)
    }
}

/// Ends all of a folder and waits until they are gone.
pub async fn end_all(dir: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + STOP_LIMIT;
    let all = Process::all(dir);
    for process in &all {
        _ = RawPid::from_raw(process.pid).map(|pid| kill_process(pid, Signal::TERM));
    }
    while let Some(left) = all.iter().find(|process| process.runs(dir)) {
        if Instant::now() > deadline {
            let message = format!("envoy {} does not end", left.pid);
            return Err(failure::transient(Step::Reload, message, "look at Envoy's log and end it by its pid"));
        }
        sleep(POLL).await;
    }
    Ok(())
}
