//! Moving a cluster's whole log from one store to another, with nothing lost and nothing half done in use.

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::ids::ClusterName;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::{Position, Revision};

use crate::paging::HISTORY_PAGE;
use crate::{ImportStep, NodeDocument, StoreError, Transfer};

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Where the log ends.
    pub position: Position,
    /// How many entries, history included.
    pub entries: u64,
    /// How many snapshots.
    pub snapshots: usize,
    /// How many active nodes.
    pub nodes: usize,
}

/// Why nothing was moved. The source is never written to.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The store to copy from.
    #[error("reading the store to migrate from: {source}")]
    Read {
        /// What it said.
        source: StoreError,
    },
    /// The store to copy to.
    #[error("writing the store to migrate to: {source}")]
    Write {
        /// What it said.
        source: StoreError,
    },
    /// Somebody wrote to the source meanwhile.
    #[error(
        "the store to migrate from was written to meanwhile: it had reached {before}, now it has reached {after}; cure: stop every tidegate controller that uses it, then migrate again"
    )]
    Changed {
        /// At the start.
        before: Position,
        /// At the end.
        after: Position,
    },
    /// What was written is not what is read back.
    #[error("what was written differs from what was read: {what}; cure: migrate again, into an empty store")]
    Differs {
        /// What differs.
        what: String,
    },
}

impl MigrateError {
    /// Whether to try again.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Read { source } | Self::Write { source } => source.class(),
            Self::Changed { .. } => ErrorClass::Conflict,
            Self::Differs { .. } => ErrorClass::Permanent,
        }
    }
}

fn read(source: StoreError) -> MigrateError {
    MigrateError::Read { source }
}

fn write(source: StoreError) -> MigrateError {
    MigrateError::Write { source }
}

/// Copies identity, history, snapshots and nodes of a cluster, and compares all of it before the copy can be used.
/// After an interruption the same call starts afresh: until the end the destination says that it is incomplete.
pub async fn migrate(cluster: &ClusterName, from: &dyn Transfer, to: &dyn Transfer) -> Result<Migrated, MigrateError> {
    let before = from.load().await.map_err(read)?;
    let identity = from.identity().await.map_err(read)?;
    let snapshots = from.snapshots().await.map_err(read)?;
    to.import(ImportStep::Begin).await.map_err(write)?;
    let entries = copy_entries(from, to).await?;
    copy_snapshots(&snapshots, to).await?;
    let after = from.load().await.map_err(read)?.position;
    if after != before.position {
        return Err(MigrateError::Changed { before: before.position, after });
    }
    compare_entries(from, to).await?;
    let nodes = NodeDocument::all(cluster, &before.membership);
    to.repair_nodes(&nodes).await.map_err(write)?;
    to.import(ImportStep::End { identity }).await.map_err(write)?;
    compare_state(&before, to).await?;
    Ok(Migrated { position: before.position, entries, snapshots: snapshots.len(), nodes: nodes.len() })
}

async fn copy_entries(from: &dyn Transfer, to: &dyn Transfer) -> Result<u64, MigrateError> {
    let mut below = Revision(u64::MAX);
    let mut copied = 0;
    loop {
        let page = from.page(below, HISTORY_PAGE).await.map_err(read)?;
        let Some(last) = page.last() else { return Ok(copied) };
        below = last.revision;
        copied += u64::try_from(page.len()).unwrap_or(u64::MAX);
        to.import(ImportStep::Entries(page)).await.map_err(write)?;
    }
}

async fn copy_snapshots(snapshots: &[Snapshot], to: &dyn Transfer) -> Result<(), MigrateError> {
    for snapshot in snapshots {
        to.import(ImportStep::Snapshot(Box::new(snapshot.clone()))).await.map_err(write)?;
    }
    let copied = to.snapshots().await.map_err(write)?;
    if copied == snapshots { Ok(()) } else { Err(MigrateError::Differs { what: "the snapshots".to_owned() }) }
}

async fn compare_entries(from: &dyn Transfer, to: &dyn Transfer) -> Result<(), MigrateError> {
    let mut below = Revision(u64::MAX);
    loop {
        let original = from.page(below, HISTORY_PAGE).await.map_err(read)?;
        let copy = to.page(below, HISTORY_PAGE).await.map_err(write)?;
        if let Some(what) = difference(&original, &copy) {
            return Err(MigrateError::Differs { what });
        }
        let Some(last) = original.last() else { return Ok(()) };
        below = last.revision;
    }
}

fn difference(original: &[LogEntry], copy: &[LogEntry]) -> Option<String> {
    let unequal = original.iter().zip(copy).find(|(one, other)| one != other);
    if let Some((entry, _)) = unequal {
        return Some(format!("the entry of revision {}", entry.revision));
    }
    let (one, other) = (original.len(), copy.len());
    (one != other).then(|| format!("{one} entries were read where {other} were written"))
}

async fn compare_state(before: &LogState, to: &dyn Transfer) -> Result<(), MigrateError> {
    let after = to.load().await.map_err(write)?;
    if after == *before { Ok(()) } else { Err(MigrateError::Differs { what: "the state at the end".to_owned() }) }
}
