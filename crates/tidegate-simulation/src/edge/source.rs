//! LIST, GET and watch of the Nodes, with everything that an API server and a network do to them.

use async_trait::async_trait;
use tidegate_controller::{ApiFailure, NodeSource, Observation, SourceError, WatchEvent};
use tidegate_core::ids::NodeName;
use tidegate_core::node::Node;
use tokio::sync::mpsc;

use super::{unanswered, watch};
use crate::caller::Caller;
use crate::fault::Fault;
use crate::parties::ReplicaId;
use crate::world::State;

pub(super) struct SimulatedSource(pub(super) Caller);

#[async_trait]
impl NodeSource for SimulatedSource {
    async fn list(&self) -> Result<Vec<Node>, SourceError> {
        let (life, world) = (&self.0.life, &self.0.world);
        let (replica, started) = (life.replica, world.now());
        let nodes = self.0.call(|state| state.list_trip(replica), move |state| list(state, replica)).await;
        let nodes = nodes.ok_or_else(|| SourceError::List { cause: unanswered() })?;
        let mut state = world.state();
        let (oracle, mut moment) = state.judge();
        oracle.listed(&life.holder, started);
        moment.note(format_args!("{} lists {} nodes", life.holder, nodes.len()));
        Ok(nodes)
    }

    async fn get(&self, name: &NodeName) -> Result<Option<Node>, SourceError> {
        let (replica, wanted) = (self.0.life.replica, name.clone());
        let read = move |state: &mut State| state.cluster.nodes().get(&wanted).cloned();
        let answer = self.0.call(|state| state.api_trip(replica), read).await;
        let failed = |cause: ApiFailure| SourceError::Get { node: name.clone(), cause };
        answer.ok_or_else(|| failed(unanswered()))
    }

    fn watch(&self) -> mpsc::Receiver<Observation> {
        let (sender, mut events) = mpsc::unbounded_channel();
        let (out, receiver) = mpsc::channel(1024);
        {
            let mut state = self.0.world.state();
            let nodes = state.cluster.nodes().values().cloned().collect();
            drop(sender.send(WatchEvent::Listed(nodes)));
            state.cluster.watch(self.0.life.replica, sender);
        }
        let caller = self.0.clone();
        tokio::spawn(async move { watch::carry(&caller, &mut events, &out, Observation::now).await });
        receiver
    }
}

fn list(state: &mut State, replica: ReplicaId) -> Vec<Node> {
    let nodes: Vec<Node> = state.cluster.nodes().values().cloned().collect();
    if !state.weather.has(Fault::ListLies { replica }) {
        return nodes;
    }
    if state.network.one_in(5) {
        return Vec::new();
    }
    nodes.into_iter().filter(|_| !state.network.one_in(3)).collect()
}
