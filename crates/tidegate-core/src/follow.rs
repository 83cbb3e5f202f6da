//! What a listener follows: the pods of the ingress. Only a node on which one of them is Ready carries the listener.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::NodeName;
use crate::selector::Selector;

/// What a listener follows. Listeners that follow the same share one watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Follow {
    /// In this namespace,
    pub namespace: String,
    /// these.
    pub target: Target,
}

/// Which objects say where the ingress runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// Pods with these labels.
    Pods(Selector),
    /// The EndpointSlices of this Service.
    Service(String),
}

impl fmt::Display for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Pods(selector) => write!(f, "pods {selector} in namespace {}", self.namespace),
            Target::Service(name) => write!(f, "endpoints of Service {}/{name}", self.namespace),
        }
    }
}

/// How one pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceState {
    /// Takes traffic: condition Ready is True, and nobody ends it.
    Ready,
    /// Somebody ends it: it has a deletionTimestamp, whether it still answers or not.
    Ending,
    /// It runs, or will, and is not Ready.
    NotReady,
}

/// One pod, or one endpoint that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The pod's name (of an endpoint without one, its address).
    pub name: String,
    /// Where it runs.
    pub node: NodeName,
    /// How it is.
    pub state: InstanceState,
    /// Since when, where the object says so.
    pub since: Option<Timestamp>,
}

/// What is observed of one [`Follow`].
#[derive(Clone, Debug, Default)]
pub struct FollowView {
    /// What each object (a pod, an EndpointSlice) says.
    objects: BTreeMap<String, Vec<Instance>>,
    /// A LIST has completed: absence means something.
    listed: bool,
    /// Why it may be wrong at this moment.
    problem: Option<String>,
}

impl FollowView {
    /// Takes in one object as the watch reported it; answers whether that is news.
    pub fn observe(&mut self, object: String, instances: Vec<Instance>) -> bool {
        if self.objects.get(&object) == Some(&instances) {
            return false;
        }
        self.objects.insert(object, instances);
        true
    }

    /// Takes in a deletion; answers whether that is news.
    pub fn forget(&mut self, object: &str) -> bool {
        self.objects.remove(object).is_some()
    }

    /// Takes in a complete LIST; answers whether it says anything new.
    pub fn replace(&mut self, objects: BTreeMap<String, Vec<Instance>>) -> bool {
        let news = !self.listed || self.objects != objects;
        (self.objects, self.listed) = (objects, true);
        news
    }

    /// Says why nothing may be concluded from it; answers whether that changes anything.
    pub fn doubt(&mut self, problem: Option<String>) -> bool {
        let changes = self.problem.is_some() != problem.is_some();
        self.problem = problem;
        changes
    }

    /// Whether a LIST has completed.
    pub const fn is_listed(&self) -> bool {
        self.listed
    }

    /// Nodes on which something is Ready.
    pub fn ready_nodes(&self) -> usize {
        let ready = self.objects.values().flatten().filter(|instance| instance.state == InstanceState::Ready);
        ready.map(|instance| &instance.node).collect::<BTreeSet<_>>().len()
    }

    /// Why it may be wrong.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The pods of each node.
    pub fn by_node(&self) -> BTreeMap<&NodeName, Vec<&Instance>> {
        let mut nodes: BTreeMap<&NodeName, Vec<&Instance>> = BTreeMap::new();
        for instance in self.objects.values().flatten() {
            nodes.entry(&instance.node).or_default().push(instance);
        }
        nodes
    }
}
