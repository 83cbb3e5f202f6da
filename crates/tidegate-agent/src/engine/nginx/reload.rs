//! A reload by HUP, and when it is live.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::{Instant, sleep};

use super::error_log::{ErrorLog, Said};
use super::master::{Master, accepts};
use super::view::Paths;
use super::{marker, words};
use crate::engine::procfs::{self, Pid};
use crate::engine::{Confirmation, failure};

/// nginx gives up binding after 2.5 s; loading 5,000 backends takes 0.1 s.
const DEADLINE: Duration = Duration::from_secs(10);
/// The last worker is told to quit 100 ms after the new ones start: polls finer than this gain nothing.
const POLL_FIRST: Duration = Duration::from_millis(2);
const POLL_LATER: Duration = Duration::from_millis(20);
const FIRST: Duration = Duration::from_millis(500);

/// Sends HUP; what the master and its workers were before is what the confirmation compares with.
pub fn send(master: Master, paths: &Paths, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
    let log = ErrorLog::at_end(&paths.error_log);
    let old_workers = master.workers();
    master.hang_up()?;
    Ok(Box::new(Reload { master, old_workers, log, marker: paths.marker_socket.clone(), generation }))
}

struct Reload {
    master: Master,
    old_workers: Vec<Pid>,
    log: ErrorLog,
    marker: PathBuf,
    generation: ContentHash,
}

#[async_trait]
impl Confirmation for Reload {
    async fn confirm(mut self: Box<Self>) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            if let Said::Failed(reasons) = self.log.news(self.master.pid()) {
                return Err(words::from_output(Step::Verify, &reasons));
            }
            if self.is_live().await {
                return Ok(());
            }
            if procfs::command_line(self.master.pid()).is_none() {
                let message = format!("the nginx master {} ended during the reload", self.master.pid());
                return Err(failure::transient(Step::Verify, message, "tidegate starts nginx again by itself"));
            }
            if start.elapsed() > DEADLINE {
                return Err(self.overdue());
            }
            sleep(if start.elapsed() < FIRST { POLL_FIRST } else { POLL_LATER }).await;
        }
    }
}

impl Reload {
    /// The old workers first: before they quit, either generation may answer the marker.
    async fn is_live(&self) -> bool {
        let any_old = self.old_workers.iter().any(|pid| accepts(*pid));
        !any_old && marker::ask(&self.marker).await == Some(self.generation)
    }

    fn overdue(&self) -> Failure {
        let old = self.old_workers.iter().filter(|pid| accepts(**pid)).count();
        let message = format!(
            "nginx did not serve generation {} within {} s after HUP ({old} of {} old workers still accept)",
            self.generation.short(),
            DEADLINE.as_secs(),
            self.old_workers.len()
        );
        failure::transient(Step::Verify, message, "look at nginx's error log and at the load of the machine")
    }
}
