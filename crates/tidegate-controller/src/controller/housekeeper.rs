//! Work on the store that decides nothing and must not hold up a decision: the read model, snapshots,
//! pruning, and a look at whether somebody else has opened a newer term.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::Position;
use tidegate_store::{NodeDocument, NodeDocumentId, Retention, SNAPSHOT_EVERY, Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Shared;
use super::input::Input;
use crate::metrics::Metrics;

/// More jobs than this mean that the store is away: the next repair does the work of all of them.
const JOBS: usize = 64;
const PRUNE_FIRST: Duration = Duration::from_secs(3600);
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long an orderly end waits for what was begun.
const LAST_WAIT: Duration = Duration::from_secs(2);

enum Job {
    Nodes { active: Vec<NodeDocument>, removed: Vec<NodeDocumentId> },
    Snapshot(Snapshot),
    Repair { active: Vec<NodeDocument>, ours: Position },
    Prune { now: Timestamp },
}

/// Hands jobs to a task that does one after the other.
pub(super) struct Housekeeper {
    jobs: mpsc::Sender<Job>,
    task: JoinHandle<()>,
    prune_at: Instant,
}

impl Housekeeper {
    pub(super) fn new(shared: &Shared, inputs: mpsc::Sender<Input>) -> Self {
        let (jobs, queue) = mpsc::channel(JOBS);
        let worker = Worker { store: shared.store.clone(), metrics: shared.metrics.clone(), inputs, reached: true };
        Self { jobs, task: tokio::spawn(worker.run(queue)), prune_at: Instant::now() + PRUNE_FIRST }
    }

    /// After a commit: its documents, and now and then a snapshot.
    pub(super) fn committed(&self, entry: &LogEntry, log: &LogState) {
        if !entry.changes.is_empty() {
            let (active, removed) = NodeDocument::of_changes(&entry.changes);
            self.give(Job::Nodes { active, removed });
        }
        if entry.revision.0.is_multiple_of(SNAPSHOT_EVERY) {
            self.give(Job::Snapshot(log.to_snapshot(entry.at)));
        }
    }

    /// At each resync: the read model is compared, and now and then old history is forgotten.
    pub(super) fn resynced(&mut self, log: &LogState, now: Timestamp) {
        self.give(Job::Repair { active: NodeDocument::all(&log.membership), ours: log.position });
        if self.prune_at <= Instant::now() {
            self.prune_at = Instant::now() + PRUNE_EVERY;
            self.give(Job::Prune { now });
        }
    }

    /// Ends in order: what was handed over is done first.
    pub(super) async fn finish(self) {
        drop(self.jobs);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(LAST_WAIT, self.task).await.is_err() {
            abort.abort();
        }
    }

    fn give(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            debug!("the store is behind with its read model; the next resync repairs it");
        }
    }
}

struct Worker {
    store: Arc<dyn Store>,
    metrics: Metrics,
    inputs: mpsc::Sender<Input>,
    reached: bool,
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.recv().await {
            let outcome = self.work(job).await;
            let was_reached = std::mem::replace(&mut self.reached, outcome.is_ok());
            match outcome {
                Err(error) if was_reached => warn!(%error, "the read model of the store is behind"),
                Ok(()) if !was_reached => info!("the read model of the store is written again"),
                _ => {}
            }
        }
    }

    async fn work(&self, job: Job) -> Result<(), StoreError> {
        match job {
            Job::Nodes { active, removed } => self.store.write_nodes(&active, &removed).await,
            Job::Snapshot(snapshot) => self.store.write_snapshot(&snapshot).await,
            Job::Repair { active, ours } => self.repair(&active, ours).await,
            Job::Prune { now } => {
                let forgotten = self.store.prune(Retention::default(), now).await?;
                info!(forgotten, "history older than its retention was removed");
                Ok(())
            }
        }
    }

    async fn repair(&self, active: &[NodeDocument], ours: Position) -> Result<(), StoreError> {
        if let Some(newest) = self.store.newest().await?.filter(|newest| newest.term > ours.term) {
            let (found, holder) = (newest.position(), newest.holder);
            drop(self.inputs.send(Input::Fenced { holder, found }).await);
            return Ok(());
        }
        let repairs = self.store.repair_nodes(active).await?;
        if repairs > 0 {
            info!(repairs, "documents of the nodes table were put right");
            self.metrics.repaired(repairs);
        }
        Ok(())
    }
}
