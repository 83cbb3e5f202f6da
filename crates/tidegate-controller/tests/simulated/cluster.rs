//! A cluster whose API can lie, lose and fail.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tidegate_controller::{ApiFailure, NodeSource, Observation, SourceError, WatchEvent};
use tidegate_core::ids::NodeName;
use tidegate_core::node::Node;
use tokio::sync::mpsc;

#[derive(Default)]
pub struct State {
    pub nodes: BTreeMap<NodeName, Node>,
    watchers: Vec<mpsc::UnboundedSender<Observation>>,
    /// LIST, GET and watch fail.
    pub down: bool,
    /// Only LIST fails.
    pub cannot_list: bool,
    /// Events go nowhere.
    pub deaf: bool,
    /// LIST answers this with 200.
    pub lie: Option<Vec<Node>>,
    /// How long a LIST takes from the read to the answer.
    pub list_takes: Duration,
    pub lists: usize,
    pub gets: usize,
}

#[derive(Default)]
pub struct FakeCluster {
    state: Mutex<State>,
}

impl FakeCluster {
    pub fn new(nodes: Vec<Node>) -> Self {
        let cluster = Self::default();
        cluster.state().nodes = nodes.into_iter().map(|n| (n.name.clone(), n)).collect();
        cluster
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn apply(&self, node: Node) {
        let mut state = self.state();
        state.nodes.insert(node.name.clone(), node.clone());
        tell(&mut state, &WatchEvent::Applied(node));
    }

    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Node)) {
        let mut node = self.node(name);
        edit(&mut node);
        self.apply(node);
    }

    pub fn delete(&self, name: &str) {
        let mut state = self.state();
        let node = state.nodes.remove(&crate::world::name(name)).unwrap();
        tell(&mut state, &WatchEvent::Deleted(node.name, node.uid));
    }

    /// An event that says something else than the truth.
    pub fn say(&self, event: &WatchEvent) {
        tell(&mut self.state(), event);
    }

    pub fn node(&self, name: &str) -> Node {
        self.state().nodes[&crate::world::name(name)].clone()
    }
}

fn tell(state: &mut State, event: &WatchEvent) {
    if !state.deaf && !state.down {
        state.watchers.retain(|w| w.send(Observation::now(event.clone())).is_ok());
    }
}

fn failure() -> ApiFailure {
    ApiFailure::Unreachable { detail: "connection refused".into() }
}

#[async_trait]
impl NodeSource for FakeCluster {
    async fn list(&self) -> Result<Vec<Node>, SourceError> {
        let (answer, takes) = {
            let mut state = self.state();
            state.lists += 1;
            if state.down || state.cannot_list {
                return Err(SourceError::List { cause: failure() });
            }
            let truth = || state.nodes.values().cloned().collect();
            (state.lie.clone().unwrap_or_else(truth), state.list_takes)
        };
        tokio::time::sleep(takes).await;
        Ok(answer)
    }

    async fn get(&self, name: &NodeName) -> Result<Option<Node>, SourceError> {
        let mut state = self.state();
        state.gets += 1;
        if state.down {
            return Err(SourceError::Get { node: name.clone(), cause: failure() });
        }
        Ok(state.nodes.get(name).cloned())
    }

    fn watch(&self) -> mpsc::Receiver<Observation> {
        let (sender, mut events) = mpsc::unbounded_channel();
        let (out, receiver) = mpsc::channel(1024);
        let mut state = self.state();
        if !state.down {
            let nodes = state.nodes.values().cloned().collect();
            sender.send(Observation::now(WatchEvent::Listed(nodes))).unwrap();
        }
        state.watchers.push(sender);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if out.send(event).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
