//! The store, over a network that leaves open what happened.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::Revision;
use tidegate_store::{HistoryQuery, NodeDocument, NodeDocumentId, Repair, RepairKind, Retention, Store, StoreError};

use crate::caller::Caller;
use crate::oracle::cluster;
use crate::trip::Fate;
use crate::world::State;

pub(super) struct SimulatedStore(pub(super) Caller);

impl SimulatedStore {
    /// Notes that the process is about to write.
    fn acts(&self, what: fmt::Arguments<'_>) {
        let mut state = self.0.world.state();
        let (oracle, mut moment) = state.judge();
        oracle.acts(&mut moment, &self.0.life.holder, what);
    }

    async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let replica = self.0.life.replica;
        let trip = |state: &mut State| {
            let trip = state.store_trip(replica);
            state.oracle.counts.lost_answers += u64::from(trip.fate == Fate::AnswerLost);
            trip
        };
        let unavailable = || StoreError::Unavailable { operation, detail: "simulated".into() };
        self.0.call(trip, work).await.unwrap_or_else(|| Err(unavailable()))
    }
}

#[async_trait]
impl Store for SimulatedStore {
    async fn claim(&self, uid: &str) -> Result<(), StoreError> {
        self.acts(format_args!("claim"));
        let uid = uid.to_owned();
        let claim = move |state: &mut State| {
            let theirs = state.log.claimed_by.get_or_insert_with(|| uid.clone()).clone();
            if theirs == uid { Ok(()) } else { Err(StoreError::OtherCluster { cluster: cluster(), ours: uid, theirs }) }
        };
        self.ask("claiming the log", claim).await
    }

    async fn load(&self) -> Result<LogState, StoreError> {
        let damaged = |source| StoreError::Damaged { source, cure: "none: it was written so".into() };
        self.ask("loading", move |state| state.log.replay().map_err(damaged)).await
    }

    async fn append(&self, entry: &LogEntry) -> Result<(), StoreError> {
        {
            let mut state = self.0.world.state();
            let now = state.now();
            let lags = state.weather.watch_lags(self.0.life.replica, now);
            let (oracle, mut moment) = state.judge();
            moment.note(format_args!("{} offers {}", entry.holder, entry.position()));
            oracle.acts(&mut moment, &self.0.life.holder, format_args!("commit of {}", entry.position()));
            oracle.offered(&mut moment, entry, lags);
        }
        let entry = entry.clone();
        self.ask("inserting a revision", move |state| state.append(&entry)).await
    }

    async fn entry(&self, revision: Revision) -> Result<Option<LogEntry>, StoreError> {
        self.ask("reading a revision", move |state| Ok(state.log.entry(revision).cloned())).await
    }

    async fn newest(&self) -> Result<Option<LogEntry>, StoreError> {
        self.ask("reading the newest revision", |state| Ok(state.log.newest().cloned())).await
    }

    async fn write_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.acts(format_args!("snapshot"));
        let snapshot = snapshot.clone();
        self.ask("writing a snapshot", move |state| {
            state.log.keep_snapshot(snapshot);
            Ok(())
        })
        .await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<LogEntry>, StoreError> {
        let query = query.clone();
        let read = move |state: &mut State| {
            let wanted = state.log.entries().rev().filter(|entry| query.wants(entry));
            Ok(wanted.take(query.limit).cloned().collect())
        };
        self.ask("reading the history", read).await
    }

    async fn write_nodes(&self, active: &[NodeDocument], removed: &[NodeDocumentId]) -> Result<(), StoreError> {
        self.acts(format_args!("documents of nodes"));
        let (active, removed) = (active.to_vec(), removed.to_vec());
        self.ask("writing documents", move |state| {
            for id in removed {
                state.log.documents.remove(&id);
            }
            state.log.documents.extend(active.into_iter().map(|d| (d.id.clone(), d)));
            Ok(())
        })
        .await
    }

    async fn repair_nodes(&self, active: &[NodeDocument]) -> Result<Vec<Repair>, StoreError> {
        self.acts(format_args!("repair of documents"));
        let active = active.to_vec();
        self.ask("repairing documents", move |state| Ok(repair(&mut state.log.documents, active))).await
    }

    async fn prune(&self, _: Retention, _: Timestamp) -> Result<u64, StoreError> {
        self.acts(format_args!("prune"));
        // Half an hour is far inside every retention.
        self.ask("pruning", |_| Ok(0)).await
    }
}

fn repair(documents: &mut BTreeMap<NodeDocumentId, NodeDocument>, active: Vec<NodeDocument>) -> Vec<Repair> {
    let wanted: BTreeMap<_, _> = active.into_iter().map(|d| (d.id.clone(), d)).collect();
    let told = |kind, d: &NodeDocument| Repair { kind, id: d.id.to_string(), node: d.node.to_string() };
    let missing = wanted.values().filter(|d| !documents.contains_key(&d.id)).map(|d| told(RepairKind::Missing, d));
    let altered = wanted.values().filter(|d| documents.get(&d.id).is_some_and(|found| found != *d));
    let altered = altered.map(|d| told(RepairKind::Altered, d));
    let foreign = documents.values().filter(|d| !wanted.contains_key(&d.id)).map(|d| told(RepairKind::Foreign, d));
    let repairs = missing.chain(altered).chain(foreign).collect();
    *documents = wanted;
    repairs
}
