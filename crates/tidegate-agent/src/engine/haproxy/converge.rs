//! Bringing a running process to the file, by the Runtime API or by a reload, and proving it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::{Instant, sleep};

use super::change::{Change, Distance, distance};
use super::config::Config;
use super::master::Master;
use super::proof::Proof;
use super::runtime::{Earlier, Runtime, Worker};
use super::view::Paths;
use crate::engine::procfs::Pid;
use crate::engine::{Confirmation, daemon, failure};

/// Loading 5,000 servers takes 0.4 s.
const DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(3);
/// A master that is not found for this long has ended, and is not between two of its execs.
const GONE: Duration = Duration::from_secs(1);
/// When nobody can be asked whether an earlier worker stopped (a master without a socket), it is waited for no longer.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(1);
/// A worker that answers nothing for this long moves nothing either.
const STUCK_LIMIT: Duration = Duration::from_secs(5);

/// How far the Runtime API led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The process serves what the file says.
    All {
        /// Whether servers that left still have connections.
        leftovers: bool,
    },
    /// Only a reload leads on.
    TooFar {
        /// Why.
        why: String,
    },
}

/// Sends what is missing and asks again, until nothing is, or nothing changes any more.
///
/// Nothing is taken from clients before all that they are to be given is proved to be there: a server that HAProxy
/// refuses must not leave a backend without any.
pub async fn in_place(worker: &Worker, wanted: &Arc<Config>, proof: &Proof) -> Result<Reached, Failure> {
    let (mut sent, mut said) = (Vec::new(), String::new());
    loop {
        let live = worker.live().await?;
        let distance = distance(&live, wanted);
        let (how, changes) = match (distance.describe(), distance) {
            (_, Distance::Reload { why }) => return Ok(Reached::TooFar { why }),
            (None, Distance::Changes(left)) => {
                proof.whole(worker.info.pid, &live, wanted.clone());
                return Ok(Reached::All { leftovers: !left.is_empty() });
            }
            (Some(how), Distance::Changes(changes)) => (how, changes),
        };
        let (brings, takes): (Vec<_>, Vec<_>) = changes.into_iter().partition(Change::brings);
        let next = if brings.is_empty() { takes } else { brings };
        // HAProxy takes a change at once or not at all.
        if next == sent {
            return Ok(Reached::TooFar { why: format!("{how} (HAProxy said: {said})") });
        }
        said = worker.send(&next).await?;
        sent = next;
    }
}

/// A process that was told to load the file, or was started on it.
pub struct Loading {
    pub(super) runtime: Runtime,
    pub(super) wanted: Arc<Config>,
    pub(super) proof: Arc<Proof>,
    pub(super) paths: Paths,
    pub(super) config_file: PathBuf,
    /// Workers before this reload: none of them is the new one, and each has to stop taking connections.
    pub(super) earlier: Vec<Pid>,
    /// Failed reloads before this one; none for a process that was just started.
    pub(super) failed_before: Option<u64>,
    /// Where its log ended before.
    pub(super) log_from: u64,
}

#[async_trait]
impl Confirmation for Loading {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        let deadline = Instant::now() + DEADLINE;
        let mut gone_since = None;
        loop {
            let asked = self.runtime.worker().await;
            if let Some(worker) = asked.ok().filter(|worker| self.is_new(worker)) {
                self.earlier_ones_stop().await?;
                return match in_place(&worker, &self.wanted, &self.proof).await? {
                    Reached::All { .. } => Ok(()),
                    Reached::TooFar { why } => Err(self.failed(&why)),
                };
            }
            let failed = self.runtime.failed_reloads().await;
            if self.failed_before.zip(failed).is_some_and(|(before, now)| now > before) {
                return Err(self.failed("the reload failed"));
            }
            if Master::find(&self.paths.pid_file, &self.config_file).is_some() {
                gone_since = None;
            } else if gone_since.get_or_insert_with(Instant::now).elapsed() > GONE {
                return Err(self.failed("it does not run"));
            }
            if Instant::now() > deadline {
                return Err(self.failed(&format!("no answer of the new process within {} s", DEADLINE.as_secs())));
            }
            sleep(POLL).await;
        }
    }
}

impl Loading {
    /// By its pid, because a reload may be needed though the structure stays the same.
    fn is_new(&self, worker: &Worker) -> bool {
        let info = worker.info;
        info.structure == Some(self.wanted.structure) && !info.stopping && !self.earlier.contains(&info.pid)
    }

    /// The new worker tells the earlier ones to stop; they share its ports until they have heard.
    async fn earlier_ones_stop(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        for pid in &self.earlier {
            loop {
                let waited = begun.elapsed();
                match self.runtime.earlier(*pid).await {
                    Earlier::Retired => break,
                    Earlier::Accepting if waited > DEADLINE => {
                        return Err(self.failed(&format!("the earlier worker {pid} goes on taking connections")));
                    }
                    Earlier::Stuck if waited > STUCK_LIMIT => self.end_stuck(*pid),
                    Earlier::Unknown if waited > UNKNOWN_LIMIT => {
                        tracing::warn!(pid, "nobody tells whether this earlier HAProxy worker stopped");
                        break;
                    }
                    Earlier::Accepting | Earlier::Stuck | Earlier::Unknown => sleep(POLL).await,
                }
            }
        }
        Ok(())
    }

    /// The kernel goes on giving it a share of the new connections, which nobody would ever serve.
    fn end_stuck(&self, pid: Pid) {
        let master = Master::find(&self.paths.pid_file, &self.config_file);
        if master.is_some_and(|master| master.kill_worker(pid)) {
            tracing::error!(pid, "killed an earlier HAProxy worker that was stuck, with the connections it had");
        }
    }

    fn failed(&self, what: &str) -> Failure {
        let words = daemon::words_since(&self.paths.log, self.log_from);
        let message = format!("HAProxy does not serve the new configuration: {what}: {words}");
        failure::transient(Step::Verify, message, format!("look at {}", self.paths.log.display()))
    }
}

/// Nothing is left to wait for.
pub struct Converged;

#[async_trait]
impl Confirmation for Converged {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// The failure of an address that somebody else listens on.
pub fn taken(at: std::net::SocketAddr, config_file: &Path) -> Failure {
    let message = format!("{at} is in use by another program ({} wants it)", config_file.display());
    let cure = format!(
        "find it with `ss -lntp 'sport = :{}'`, end it or change the listener's bind; tidegate tries again by itself",
        at.port()
    );
    failure::transient(Step::Reload, message, cure)
}
