//! The cluster as it was last observed, and how sure of it we are.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{NodeName, NodeUid};
use crate::node::Node;

/// Whether an observation said anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Something that decisions look at changed.
    Changed,
    /// A heartbeat, or a repetition.
    Same,
}

/// Every node by name, plus what is known of those that are gone.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    nodes: BTreeMap<NodeName, Node>,
    /// A LIST has completed: absence means something.
    listed: bool,
    /// A GET answered 404 or another uid.
    confirmed_gone: BTreeSet<NodeUid>,
}

impl ClusterView {
    /// Takes in one node as the watch reported it.
    pub fn observe(&mut self, mut node: Node) -> Observed {
        if let Some(earlier) = self.nodes.get(&node.name) {
            node.keep_earlier_since(earlier);
            if *earlier == node {
                return Observed::Same;
            }
        }
        self.confirmed_gone.remove(&node.uid);
        self.nodes.insert(node.name.clone(), node);
        Observed::Changed
    }

    /// Takes in a deletion as the watch reported it; one of an earlier node of this name says nothing.
    pub fn forget(&mut self, name: &NodeName, uid: &NodeUid) -> Observed {
        match self.nodes.get(name) {
            Some(node) if node.uid == *uid => {
                self.nodes.remove(name);
                Observed::Changed
            }
            _ => Observed::Same,
        }
    }

    /// Takes in a complete LIST; answers how many nodes differed from what the watch had told
    /// (zero for the first LIST, which has nothing to differ from).
    pub fn replace(&mut self, nodes: Vec<Node>) -> usize {
        let names: BTreeSet<&NodeName> = nodes.iter().map(|n| &n.name).collect();
        let before = self.nodes.len();
        self.nodes.retain(|name, _| names.contains(name));
        let vanished = before - self.nodes.len();
        let changed = nodes.into_iter().map(|node| self.observe(node)).filter(|o| *o == Observed::Changed).count();
        let first = !std::mem::replace(&mut self.listed, true);
        if first { 0 } else { vanished + changed }
    }

    /// Takes in the answer of a live GET: this uid does not exist (any more) under its name.
    pub fn confirm_gone(&mut self, uid: &NodeUid) {
        self.confirmed_gone.insert(uid.clone());
    }

    /// Drops confirmations that no member needs.
    pub fn retain_confirmations(&mut self, needed: impl Fn(&NodeUid) -> bool) {
        self.confirmed_gone.retain(|uid| needed(uid));
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The node of this name.
    pub fn get(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Whether a LIST has completed since the start.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Whether a GET has confirmed that this uid is gone.
    pub fn is_confirmed_gone(&self, uid: &NodeUid) -> bool {
        self.confirmed_gone.contains(uid)
    }
}
