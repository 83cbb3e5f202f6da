//! A store in memory that counts its writes and can fail in every way that a real one can.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::Revision;
use tidegate_store::{HistoryQuery, NodeDocument, NodeDocumentId, Retention, Store, StoreError};

/// How an append misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written.
    Refuses,
    /// It is written, but the answer is lost.
    LosesAnswer,
    /// Nothing is written, and no answer ever comes.
    Hangs,
}

#[derive(Default)]
pub struct Inner {
    pub log: Vec<LogEntry>,
    pub documents: BTreeMap<NodeDocumentId, NodeDocument>,
    /// Changes of what is stored, of any kind.
    pub writes: usize,
    pub fault: Option<Fault>,
}

#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

impl MemoryStore {
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn commits(&self) -> usize {
        self.inner().log.len()
    }

    /// What the log adds up to.
    pub fn state(&self) -> LogState {
        let mut state = LogState::default();
        for entry in &self.inner().log {
            state.append(entry).unwrap();
        }
        state
    }

    pub fn document_nodes(&self) -> Vec<String> {
        let mut nodes: Vec<String> = self.inner().documents.values().map(|d| d.node.to_string()).collect();
        nodes.sort();
        nodes
    }

    fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        match self.inner().fault {
            Some(Fault::Refuses) => Err(StoreError::Unavailable { operation, detail: "injected".into() }),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self) -> Result<LogState, StoreError> {
        self.check("loading")?;
        Ok(self.state())
    }

    async fn append(&self, entry: &LogEntry) -> Result<(), StoreError> {
        let fault = self.inner().fault;
        if fault == Some(Fault::Hangs) {
            std::future::pending::<()>().await;
        }
        self.check("inserting a revision")?;
        let mut inner = self.inner();
        let expected = inner.log.last().map_or(Revision(1), |e| e.revision.next());
        if entry.revision < expected {
            return Err(StoreError::Taken { revision: entry.revision });
        }
        assert_eq!(entry.revision, expected, "a gap in the log");
        inner.log.push(entry.clone());
        inner.writes += 1;
        if fault == Some(Fault::LosesAnswer) {
            inner.fault = None;
            return Err(StoreError::Unavailable { operation: "inserting a revision", detail: "answer lost".into() });
        }
        Ok(())
    }

    async fn entry(&self, revision: Revision) -> Result<Option<LogEntry>, StoreError> {
        self.check("reading")?;
        Ok(self.inner().log.iter().find(|e| e.revision == revision).cloned())
    }

    async fn newest(&self) -> Result<Option<LogEntry>, StoreError> {
        self.check("reading")?;
        Ok(self.inner().log.last().cloned())
    }

    async fn write_snapshot(&self, _: &Snapshot) -> Result<(), StoreError> {
        self.check("writing a snapshot")?;
        self.inner().writes += 1;
        Ok(())
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<LogEntry>, StoreError> {
        self.check("reading the history")?;
        let inner = self.inner();
        let of_node = |e: &&LogEntry| query.node.as_ref().is_none_or(|n| e.changes.iter().any(|c| c.node == *n));
        Ok(inner.log.iter().rev().filter(of_node).take(query.limit).cloned().collect())
    }

    async fn write_nodes(&self, active: &[NodeDocument], removed: &[NodeDocumentId]) -> Result<(), StoreError> {
        self.check("writing documents")?;
        let mut inner = self.inner();
        inner.writes += 1;
        for id in removed {
            inner.documents.remove(id);
        }
        inner.documents.extend(active.iter().map(|d| (d.id.clone(), d.clone())));
        Ok(())
    }

    async fn repair_nodes(&self, active: &[NodeDocument]) -> Result<usize, StoreError> {
        self.check("repairing documents")?;
        let mut inner = self.inner();
        let wanted: BTreeMap<_, _> = active.iter().map(|d| (d.id.clone(), d.clone())).collect();
        let stale = inner.documents.iter().filter(|(id, d)| wanted.get(id) != Some(d)).count();
        let missing = wanted.keys().filter(|id| !inner.documents.contains_key(id)).count();
        if stale + missing > 0 {
            inner.documents = wanted;
            inner.writes += 1;
        }
        Ok(stale + missing)
    }

    async fn prune(&self, _: Retention, _: Timestamp) -> Result<u64, StoreError> {
        self.check("pruning")?;
        Ok(0)
    }
}
