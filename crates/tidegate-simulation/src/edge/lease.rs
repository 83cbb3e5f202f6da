//! The Lease, and the announcements of replicas.

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_controller::{ApiFailure, LeaseClient};
use tidegate_core::lease::{LeaseRecord, LeaseWrite, SeenLease};
use tokio::sync::mpsc;

use super::unanswered;
use crate::caller::Caller;
use crate::world::State;

pub(super) struct SimulatedLease(pub(super) Caller);

impl SimulatedLease {
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, ApiFailure> {
        let replica = self.0.life.replica;
        self.0.call(|state| state.lease_trip(replica), work).await.ok_or_else(unanswered)
    }
}

#[async_trait]
impl LeaseClient for SimulatedLease {
    async fn read(&self) -> Result<Option<SeenLease>, ApiFailure> {
        self.ask(|state| state.cluster.seen_lease()).await
    }

    async fn write(&self, record: &LeaseRecord, version: Option<&str>) -> Result<LeaseWrite, ApiFailure> {
        let (holder, started) = (self.0.life.holder.clone(), self.0.world.now());
        let (record, version) = (record.clone(), version.map(str::to_owned));
        self.ask(move |state| state.write_lease(&holder, record, version.as_deref(), started)).await
    }

    fn vacancies(&self) -> mpsc::Receiver<()> {
        let (sender, mut words) = mpsc::unbounded_channel();
        let (out, receiver) = mpsc::channel(4);
        self.0.world.state().cluster.watch_vacancies(sender);
        let caller = self.0.clone();
        tokio::spawn(async move {
            while words.recv().await.is_some() {
                let replica = caller.life.replica;
                let arrives = caller.call(|state| state.lease_trip(replica), |_| ()).await;
                if arrives.is_some() && out.send(()).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    async fn announce(&self, holder: &str, at: Timestamp) -> Result<(), ApiFailure> {
        let holder = holder.to_owned();
        self.ask(move |state| state.cluster.replicas.insert(holder, at)).await.map(|_| ())
    }

    async fn replicas(&self) -> Result<Vec<(String, Timestamp)>, ApiFailure> {
        self.ask(|state| state.cluster.replicas.iter().map(|(holder, at)| (holder.clone(), *at)).collect()).await
    }

    async fn withdraw(&self, holder: &str) -> Result<(), ApiFailure> {
        let holder = holder.to_owned();
        self.ask(move |state| state.cluster.replicas.remove(&holder)).await.map(|_| ())
    }
}
