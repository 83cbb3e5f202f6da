//! What may wait until nobody waits for it: servers that still have connections, and the whole check of the live file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::change::{Change, Distance, distance};
use super::check;
use super::config::Config;
use super::runtime::Runtime;
use crate::command::CommandRunner;
use crate::engine::vouched::Vouched;
use crate::file::{Seal, unseal};

/// What there is to do.
#[derive(Debug, Default)]
pub struct Chores {
    /// Servers in maintenance are left in the process.
    pub leftovers: AtomicBool,
    /// The live file was put there without a whole check of its own.
    pub unchecked: AtomicBool,
}

impl Chores {
    /// Whether there is anything.
    pub fn are_due(&self) -> bool {
        self.leftovers.load(Ordering::Relaxed) || self.unchecked.load(Ordering::Relaxed)
    }
}

/// With what it is done.
pub struct Tidier {
    pub(super) chores: Arc<Chores>,
    pub(super) runtime: Runtime,
    pub(super) vouched: Arc<Vouched>,
    pub(super) commands: Arc<dyn CommandRunner>,
    pub(super) binary: PathBuf,
    pub(super) config_file: PathBuf,
    pub(super) broken_off: CancellationToken,
}

impl Tidier {
    /// Does what is due; what cannot be done yet stays due.
    pub async fn run(self) {
        let Ok(text) = std::fs::read_to_string(&self.config_file) else { return };
        // Somebody else's text is told of elsewhere.
        if !matches!(unseal(&text), Seal::Whole(_)) {
            return;
        }
        let config = Config::parse(&text);
        if self.chores.leftovers.load(Ordering::Relaxed) {
            let left = self.remove_leftovers(&config).await;
            self.chores.leftovers.store(left, Ordering::Relaxed);
        }
        if self.chores.unchecked.load(Ordering::Relaxed) {
            let checked = self.broken_off.run_until_cancelled(self.check_whole(&config)).await;
            self.chores.unchecked.store(checked.is_none(), Ordering::Relaxed);
        }
    }

    /// Deletes servers that have no connection any more; whether some are left.
    async fn remove_leftovers(&self, config: &Config) -> bool {
        let Ok(worker) = self.runtime.worker().await else { return true };
        // A worker of another structure has none of these servers.
        if worker.info.structure != Some(config.structure) {
            return true;
        }
        let Ok(live) = worker.live().await else { return true };
        let Distance::Changes(changes) = distance(&live, config) else { return true };
        let leftovers: Vec<Change> = changes.into_iter().filter(Change::only_tidies).collect();
        if leftovers.is_empty() || worker.send(&leftovers).await.is_err() {
            return !leftovers.is_empty();
        }
        true
    }

    async fn check_whole(&self, config: &Config) {
        if let Err(failure) = check::run(&self.binary, &self.config_file, self.commands.as_ref()).await {
            self.vouched.revoke(config.structure);
            tracing::error!(
                message = failure.message,
                cure = failure.cure,
                "the live file does not pass HAProxy's check: a restart of HAProxy would fail"
            );
        }
    }
}
