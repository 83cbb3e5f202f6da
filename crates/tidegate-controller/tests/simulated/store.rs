//! A store in memory that counts its writes and can fail in every way that a real one can.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::ids::ClusterName;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::Revision;
use tidegate_store::{HistoryQuery, NodeDocument, NodeDocumentId, Repair, RepairKind, Retention, Store, StoreError};

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
    /// How long an append takes from the call to the write.
    pub append_takes: Duration,
    /// How long it takes from the call to the reading of the newest entry.
    pub newest_takes: Duration,
    /// Appends that were refused because the revision was taken.
    pub refused: Vec<LogEntry>,
    pub owner: Option<String>,
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
        let takes = self.inner().append_takes;
        tokio::time::sleep(takes).await;
        let mut inner = self.inner();
        let expected = inner.log.last().map_or(Revision(1), |e| e.revision.next());
        if entry.revision < expected {
            inner.refused.push(entry.clone());
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
        let takes = self.inner().newest_takes;
        tokio::time::sleep(takes).await;
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

    async fn repair_nodes(&self, active: &[NodeDocument]) -> Result<Vec<Repair>, StoreError> {
        self.check("repairing documents")?;
        let mut inner = self.inner();
        let wanted: BTreeMap<_, _> = active.iter().map(|d| (d.id.clone(), d.clone())).collect();
        let repair = |kind, d: &NodeDocument| Repair { kind, id: d.id.to_string(), node: d.node.to_string() };
        let missing = wanted.values().filter(|d| !inner.documents.contains_key(&d.id));
        let foreign = inner.documents.values().filter(|d| !wanted.contains_key(&d.id));
        let altered = wanted.values().filter(|d| inner.documents.get(&d.id).is_some_and(|found| found != *d));
        let repairs: Vec<Repair> = missing
            .map(|d| repair(RepairKind::Missing, d))
            .chain(altered.map(|d| repair(RepairKind::Altered, d)))
            .chain(foreign.map(|d| repair(RepairKind::Foreign, d)))
            .collect();
        if !repairs.is_empty() {
            inner.documents = wanted;
            inner.writes += 1;
        }
        Ok(repairs)
    }

    async fn claim(&self, uid: &str) -> Result<(), StoreError> {
        self.check("claiming")?;
        let mut inner = self.inner();
        let theirs = inner.owner.get_or_insert_with(|| uid.to_owned()).clone();
        let cluster = ClusterName::parse("test").unwrap();
        if theirs == uid { Ok(()) } else { Err(StoreError::OtherCluster { cluster, ours: uid.to_owned(), theirs }) }
    }

    async fn prune(&self, _: Retention, _: Timestamp) -> Result<u64, StoreError> {
        self.check("pruning")?;
        Ok(0)
    }
}
