//! Finalizers and Events.

use async_trait::async_trait;
use tidegate_controller::{ApiFailure, NodeWriter};
use tidegate_core::event::NodeEvent;
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::time::after;

use super::unanswered;
use crate::caller::Caller;
use crate::oracle::{DEADLINE, Taken};
use crate::world::State;

pub(super) struct SimulatedWriter(pub(super) Caller);

impl SimulatedWriter {
    fn acts(&self, what: std::fmt::Arguments<'_>) {
        let mut state = self.0.world.state();
        let (oracle, mut moment) = state.judge();
        oracle.acts(&mut moment, &self.0.life.holder, what);
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, ApiFailure> {
        let replica = self.0.life.replica;
        self.0.call(|state| state.api_trip(replica), work).await.ok_or_else(unanswered)
    }

    /// Judges a release at the moment at which it is decided: what follows on the wire is nobody's choice.
    fn judge_release(&self, node: &NodeName, uid: &NodeUid) {
        let mut state = self.0.world.state();
        let clock = state.wall_of(self.0.life.replica);
        let found = state.cluster.nodes().get(node).filter(|n| n.uid == *uid && n.finalizer);
        let Some(deleted) = found.and_then(|n| n.deleting) else { return };
        let due = clock >= after(deleted, DEADLINE);
        let (oracle, mut moment) = state.judge();
        oracle.released(&mut moment, &Taken { holder: &self.0.life.holder, node, uid, due });
    }
}

#[async_trait]
impl NodeWriter for SimulatedWriter {
    async fn add_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure> {
        self.acts(format_args!("finalizer on {node}"));
        let (node, uid) = (node.clone(), uid.clone());
        self.ask(move |state| state.put_finalizer(&node, &uid)).await
    }

    async fn remove_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure> {
        self.acts(format_args!("finalizer off {node}"));
        self.judge_release(node, uid);
        let (node, uid) = (node.clone(), uid.clone());
        self.ask(move |state| state.take_finalizer(&node, &uid)).await
    }

    async fn event(&self, event: &NodeEvent) -> Result<(), ApiFailure> {
        self.acts(format_args!("Event {} on {}", event.reason, event.node));
        self.ask(|_| ()).await
    }

    async fn cluster_uid(&self) -> Result<String, ApiFailure> {
        self.ask(|_| "simulated-cluster".to_owned()).await
    }
}
