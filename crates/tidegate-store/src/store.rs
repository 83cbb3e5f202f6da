//! The seam that every backend implements, and the commit that works on all of them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::ids::NodeName;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::Revision;

use crate::{NodeDocument, NodeDocumentId, Repair, StoreError};

/// A snapshot is written after this many revisions, off the hot path.
pub const SNAPSHOT_EVERY: u64 = 256;

/// Which entries of the log to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only entries that changed this node, or its orders.
    pub node: Option<NodeName>,
    /// At most this many entries, the newest.
    pub limit: usize,
}

impl HistoryQuery {
    /// Whether it asks for this entry.
    pub fn wants(&self, entry: &LogEntry) -> bool {
        self.node.as_ref().is_none_or(|node| {
            entry.changes.iter().any(|change| change.node == *node)
                || entry.orders.iter().any(|order| order.node == *node)
        })
    }
}

/// Which entries older than the newest snapshot are kept, as history. Whichever keeps more wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Keep what is younger than this.
    pub age: Duration,
    /// Keep at least this many.
    pub entries: u64,
}

impl Default for Retention {
    fn default() -> Self {
        // A month answers "what happened last time"; 10,000 entries are about 5 MB.
        Self { age: Duration::from_secs(30 * 24 * 3600), entries: 10_000 }
    }
}

/// The log of one cluster. Every backend behaves alike: see the conformance suite.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Gives this log to the Kubernetes cluster of this uid (that of namespace `kube-system`), for ever. To be called
    /// before each leadership: [`StoreError::OtherCluster`] when another cluster has it.
    async fn claim(&self, uid: &str) -> Result<(), StoreError>;

    /// The state that the log adds up to: the newest snapshot and the entries after it, replayed and
    /// checked. An empty store is the default state.
    async fn load(&self) -> Result<LogState, StoreError>;

    /// Inserts an entry, durably. [`StoreError::Taken`] when its revision exists; a gap is refused as
    /// [`StoreError::Damaged`]. Use [`commit`], which tells a lost race from a won timeout.
    async fn append(&self, entry: &LogEntry) -> Result<(), StoreError>;

    /// Reads one entry.
    async fn entry(&self, revision: Revision) -> Result<Option<LogEntry>, StoreError>;

    /// The newest entry.
    async fn newest(&self) -> Result<Option<LogEntry>, StoreError>;

    /// Records the whole membership at one revision; writing the same one twice is fine.
    async fn write_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// Entries, newest first.
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<LogEntry>, StoreError>;

    /// Brings the read model up to date with one commit.
    async fn write_nodes(&self, active: &[NodeDocument], removed: &[NodeDocumentId]) -> Result<(), StoreError>;

    /// Makes the read model exactly these documents; answers what had to be put right, in the order of the documents.
    async fn repair_nodes(&self, active: &[NodeDocument]) -> Result<Vec<Repair>, StoreError>;

    /// Forgets entries that are older than the newest snapshot and outside the retention; answers how many.
    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<u64, StoreError>;
}

/// Commits an entry: afterwards it is in the log, or somebody else's is and this is an error that says whose.
///
/// A timeout may hide a success, so [`commit`] can be called again with the same entry: finding that
/// very entry in the log is success. A higher term in its place means [`StoreError::Fenced`].
pub async fn commit(store: &dyn Store, entry: &LogEntry) -> Result<(), StoreError> {
    let Err(error) = store.append(entry).await else { return Ok(()) };
    let StoreError::Taken { revision } = error else { return Err(error) };
    match store.entry(revision).await? {
        Some(found) if found == *entry => Ok(()),
        Some(found) if found.term > entry.term => {
            Err(StoreError::Fenced { offered: entry.position(), found: found.position() })
        }
        _ => Err(StoreError::Taken { revision }),
    }
}
