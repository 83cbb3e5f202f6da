//! The half of a store that only [`migrate`](crate::migrate) uses: everything out, and everything in.

use async_trait::async_trait;
use tidegate_core::log::{LogEntry, Snapshot};
use tidegate_core::position::Revision;

use crate::{Store, StoreError};

/// A step of an import. Until [`ImportStep::End`] the store says [`StoreError::Incomplete`] to whoever wants to use it.
#[derive(Clone, Debug)]
pub enum ImportStep {
    /// Marks the store; what an earlier, interrupted import has left is removed. Refused with
    /// [`StoreError::Occupied`] when the cluster has a log, a snapshot or an identity there.
    Begin,
    /// Entries that follow each other, newest first: the start of the log may have been forgotten.
    Entries(Vec<LogEntry>),
    /// One snapshot.
    Snapshot(Box<Snapshot>),
    /// Gives the log its identity and takes the mark away.
    End {
        /// The uid of the Kubernetes cluster, if it was ever claimed.
        identity: Option<String>,
    },
}

/// A store whose content can be moved as a whole.
#[async_trait]
pub trait Transfer: Store {
    /// The uid that has claimed the log.
    async fn identity(&self) -> Result<Option<String>, StoreError>;

    /// Up to `size` entries below a revision, newest first.
    async fn page(&self, below: Revision, size: usize) -> Result<Vec<LogEntry>, StoreError>;

    /// All snapshots that agree with the log, oldest first.
    async fn snapshots(&self) -> Result<Vec<Snapshot>, StoreError>;

    /// One step of an import, which can be repeated.
    async fn import(&self, step: ImportStep) -> Result<(), StoreError>;
}
