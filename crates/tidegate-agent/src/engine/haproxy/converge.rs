//! Bringing a running process to the file, by the Runtime API or by a reload, and proving it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::{Instant, sleep};

use super::change::{Distance, distance};
use super::config::Config;
use super::master::Master;
use super::runtime::{Runtime, failed_reloads};
use super::view::Paths;
use crate::engine::{Confirmation, daemon, failure};

/// Loading 5,000 servers takes 0.4 s.
const DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(3);
/// Changes that HAProxy does not take at once it does not take at all.
const ATTEMPTS: u32 = 3;

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

/// Sends what is missing and asks again, until nothing is.
pub async fn in_place(runtime: &Runtime, wanted: &Config) -> Result<Reached, Failure> {
    let mut said = String::new();
    for attempt in 0..=ATTEMPTS {
        let distance = distance(&runtime.live().await?, wanted);
        let changes = match (distance.describe(), distance) {
            (_, Distance::Reload { why }) => return Ok(Reached::TooFar { why }),
            (None, Distance::Changes(left)) => return Ok(Reached::All { leftovers: !left.is_empty() }),
            (Some(how), _) if attempt == ATTEMPTS => {
                return Ok(Reached::TooFar { why: format!("{how} (HAProxy said: {said})") });
            }
            (Some(_), Distance::Changes(changes)) => changes,
        };
        said = runtime.send(&changes).await?;
    }
    Ok(Reached::TooFar { why: said })
}

/// A process that was told to load the file, or was started on it.
pub struct Loading {
    pub(super) runtime: Runtime,
    pub(super) wanted: Config,
    pub(super) paths: Paths,
    pub(super) config_file: PathBuf,
    /// Failed reloads before this one; none for a process that was just started.
    pub(super) failed_before: Option<u64>,
    /// Where its log ended before.
    pub(super) log_from: u64,
}

#[async_trait]
impl Confirmation for Loading {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if self.runtime.structure().await.is_ok_and(|found| found == Some(self.wanted.structure)) {
                return match in_place(&self.runtime, &self.wanted).await? {
                    Reached::All { .. } => Ok(()),
                    Reached::TooFar { why } => Err(self.failed(why)),
                };
            }
            let failed = failed_reloads(&self.paths.master_socket).await;
            if self.failed_before.zip(failed).is_some_and(|(before, now)| now > before) {
                return Err(self.failed("the reload failed".to_owned()));
            }
            if Instant::now() > deadline {
                let gone = Master::find(&self.paths.pid_file, &self.config_file).is_none();
                let state = if gone { "it does not run" } else { "it runs" };
                return Err(
                    self.failed(format!("no answer of the new process within {} s ({state})", DEADLINE.as_secs()))
                );
            }
            sleep(POLL).await;
        }
    }
}

impl Loading {
    fn failed(&self, what: String) -> Failure {
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
