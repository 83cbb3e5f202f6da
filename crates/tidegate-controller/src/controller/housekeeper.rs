//! Work on the store that decides nothing and must not hold up a decision: the read model, snapshots,
//! pruning, and a look at whether somebody else has opened a newer term.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::ids::ClusterName;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::Position;
use tidegate_store::{NodeDocument, NodeDocumentId, Retention, SNAPSHOT_EVERY, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::input::Input;
use super::office::Tenure;
use super::tasks::Tasks;
use super::{Inputs, Shared};
use crate::metrics::Metrics;

/// More jobs than this mean that the store is away: the next repair does the work of all of them.
const JOBS: usize = 64;
const PRUNE_FIRST: Duration = Duration::from_secs(3600);
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long an orderly end waits for what was begun.
const LAST_WAIT: Duration = Duration::from_millis(500);

enum Job {
    Nodes { active: Vec<NodeDocument>, removed: Vec<NodeDocumentId> },
    Snapshot(Snapshot),
    Repair { active: Vec<NodeDocument>, ours: Position },
    Prune { now: Timestamp },
}

/// Hands jobs to a task that does one after the other.
pub(super) struct Housekeeper {
    cluster: ClusterName,
    jobs: mpsc::Sender<(Tenure, Job)>,
    /// Under which jobs are handed over; without one there is nothing to do.
    tenure: Option<Tenure>,
    /// Ends with the worker.
    ended: oneshot::Receiver<Infallible>,
    prune_at: Instant,
}

impl Housekeeper {
    pub(super) fn new(shared: &Shared, inputs: Inputs, tasks: &Tasks) -> Self {
        let (jobs, queue) = mpsc::channel(JOBS);
        let (ends, ended) = oneshot::channel();
        let worker = Worker { store: shared.store.clone(), metrics: shared.metrics.clone(), inputs, reached: true };
        tasks.spawn(worker.run(queue, ends));
        let cluster = shared.settings.cluster.clone();
        Self { cluster, jobs, tenure: None, ended, prune_at: Instant::now() + PRUNE_FIRST }
    }

    /// From now on jobs are done under this tenure, or not at all.
    pub(super) fn serve(&mut self, tenure: Option<Tenure>) {
        self.tenure = tenure;
    }

    /// Whether there is a tenure to work under, valid or not.
    pub(super) const fn serves(&self) -> bool {
        self.tenure.is_some()
    }

    /// After a commit: its documents, and now and then a snapshot.
    pub(super) fn committed(&self, entry: &LogEntry, log: &LogState) {
        if !entry.changes.is_empty() {
            let (active, removed) = NodeDocument::of_changes(&self.cluster, &entry.changes);
            self.give(Job::Nodes { active, removed });
        }
        if entry.revision.0.is_multiple_of(SNAPSHOT_EVERY) {
            self.give(Job::Snapshot(log.to_snapshot(entry.at)));
        }
    }

    /// At each resync: the read model is compared, and now and then old history is forgotten.
    pub(super) fn resynced(&mut self, log: &LogState, now: Timestamp) {
        if self.tenure.is_none() {
            return;
        }
        let active = NodeDocument::all(&self.cluster, &log.membership);
        self.give(Job::Repair { active, ours: log.position });
        if self.prune_at <= Instant::now() {
            self.prune_at = Instant::now() + PRUNE_EVERY;
            self.give(Job::Prune { now });
        }
    }

    /// Ends in order: what was handed over is done first.
    pub(super) async fn finish(self) {
        drop(self.jobs);
        drop(timeout(LAST_WAIT, self.ended).await);
    }

    fn give(&self, job: Job) {
        let Some(tenure) = self.tenure.clone() else { return };
        if self.jobs.try_send((tenure, job)).is_err() {
            debug!("the store is behind with its read model; the next resync repairs it");
        }
    }
}

struct Worker {
    store: Arc<dyn Store>,
    metrics: Metrics,
    inputs: Inputs,
    reached: bool,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<(Tenure, Job)>, _ends: oneshot::Sender<Infallible>) {
        while let Some((tenure, job)) = queue.recv().await {
            if !tenure.is_valid() {
                continue;
            }
            let outcome = self.work(&tenure, job).await;
            let was_reached = std::mem::replace(&mut self.reached, outcome.is_ok());
            match outcome {
                Err(error) if was_reached => warn!(%error, "the read model of the store is behind"),
                Ok(()) if !was_reached => info!("the read model of the store is written again"),
                _ => {}
            }
        }
    }

    async fn work(&self, tenure: &Tenure, job: Job) -> Result<(), StoreError> {
        match job {
            Job::Nodes { active, removed } => self.store.write_nodes(&active, &removed).await,
            Job::Snapshot(snapshot) => self.store.write_snapshot(&snapshot).await,
            Job::Repair { active, ours } => self.repair(tenure, &active, ours).await,
            Job::Prune { now } => {
                let forgotten = self.store.prune(Retention::default(), now).await?;
                info!(forgotten, "history older than its retention was removed");
                Ok(())
            }
        }
    }

    async fn repair(&self, tenure: &Tenure, active: &[NodeDocument], ours: Position) -> Result<(), StoreError> {
        if let Some(newest) = self.store.newest().await?.filter(|newest| newest.term > ours.term) {
            let (found, holder) = (newest.position(), newest.holder);
            drop(self.inputs.send(Input::Fenced { holder, found }).await);
            return Ok(());
        }
        if !tenure.is_valid() {
            return Ok(());
        }
        let repairs = self.store.repair_nodes(active).await?;
        if !repairs.is_empty() {
            info!(repairs = repairs.len(), "documents of the nodes table were put right");
            self.metrics.repaired(repairs.len());
            let repairs = repairs.iter().map(ToString::to_string).collect();
            drop(self.inputs.send(Input::Repaired { repairs }).await);
        }
        Ok(())
    }
}
