//! The process as a whole: starting it, making it load its file, ending it.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::{Instant, sleep};

use super::Haproxy;
use super::config::Config;
use super::converge::{Loading, taken};
use super::master::Master;
use crate::engine::{Confirmation, daemon, failure, listening};

/// A worker lets go of its ports within milliseconds.
const STOP_LIMIT: Duration = Duration::from_secs(5);
const STOP_POLL: Duration = Duration::from_millis(5);
/// A master without an answer for this long is told all the same.
const HEARS_LIMIT: Duration = Duration::from_secs(3);
/// How soon a signal is sent again that does not seem to have arrived.
const TELL_AGAIN: Duration = Duration::from_millis(500);

impl Haproxy {
    /// Has the live file loaded, by a reload or by a start.
    pub(super) async fn load(
        &self,
        master: Option<Master>,
        wanted: Arc<Config>,
    ) -> Result<Box<dyn Confirmation>, Failure> {
        self.proof.forget();
        // HAProxy makes its old process let go of every port while it cannot have a new one: never let it come to that.
        let ours = || master.map(Master::family).unwrap_or_default();
        if let Some(at) = listening::still_taken(&wanted.binds, ours).await {
            return Err(taken(at, &self.config_file));
        }
        let log_from = daemon::length(&self.paths.log);
        let earlier = master.map(Master::workers).unwrap_or_default();
        let failed_before = if let Some(master) = master {
            let before = self.failed_reloads_of_one_that_hears().await;
            master.reload()?;
            before
        } else {
            self.start().await?;
            None
        };
        let (runtime, paths, config_file) = (self.runtime.clone(), self.paths.clone(), self.config_file.clone());
        let proof = self.proof.clone();
        Ok(Box::new(Loading { runtime, wanted, proof, paths, config_file, earlier, failed_before, log_from }))
    }

    /// Failed reloads so far, of a master that can be told to load: one that has just started loses a signal (its worker answers
    /// some 5 ms before it listens; measured with 2.6.12). Whoever answers at its socket is past that.
    async fn failed_reloads_of_one_that_hears(&self) -> Option<u64> {
        let deadline = Instant::now() + HEARS_LIMIT;
        loop {
            let failed = self.runtime.failed_reloads().await;
            let never = !self.paths.master_socket.exists();
            if failed.is_some() || never || Instant::now() > deadline {
                return failed;
            }
            sleep(STOP_POLL).await;
        }
    }

    /// In the foreground, so that it says what is wrong, and in a session of its own, so that it outlives this agent.
    async fn start(&self) -> Result<(), Failure> {
        // A pid file of another life would name the wrong process.
        drop(std::fs::remove_file(&self.paths.pid_file));
        let master_socket = format!("{},mode,600", self.paths.master_socket.display());
        let arguments = [
            "-W".into(),
            "-db".into(),
            "-S".into(),
            master_socket.into(),
            "-p".into(),
            self.paths.pid_file.clone().into_os_string(),
            "-f".into(),
            self.config_file.clone().into_os_string(),
        ];
        daemon::start(&self.binary, &arguments, &self.paths.log).await?;
        tracing::info!(config = %self.config_file.display(), "started HAProxy");
        Ok(())
    }

    /// Ends it once its connections have, and waits until it takes no more.
    pub(super) async fn end(&self, master: Master) -> Result<(), Failure> {
        master.quit()?;
        let deadline = Instant::now() + STOP_LIMIT;
        let mut told = Instant::now();
        while self.runtime.worker().await.is_ok_and(|worker| !worker.info.stopping) {
            // A master that has just started may not have listened yet; whoever has heard does not mind.
            if told.elapsed() > TELL_AGAIN {
                told = Instant::now();
                drop(master.quit());
            }
            if Instant::now() > deadline {
                let message = "HAProxy was told to end and goes on taking connections";
                return Err(failure::transient(
                    Step::Reload,
                    message,
                    "end it by the pid in agent.stateDir/haproxy.pid",
                ));
            }
            sleep(STOP_POLL).await;
        }
        // It lives as long as its connections, but it can be told nothing any more.
        drop(std::fs::remove_file(&self.paths.pid_file));
        Ok(())
    }
}
