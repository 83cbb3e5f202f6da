//! The API server's truth: Nodes with finalizers, the Lease, and who watches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidegate_controller::WatchEvent;
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::lease::{LeaseRecord, LeaseWrite, SeenLease};
use tidegate_core::node::Node;
use tokio::sync::mpsc::UnboundedSender;

use crate::oracle::Oracle;
use crate::parties::ReplicaId;
use crate::watchers::Watchers;
use crate::world::State;

#[derive(Debug)]
struct StoredLease {
    record: LeaseRecord,
    version: u64,
    written: Duration,
}

/// What the API server keeps.
#[derive(Debug, Default)]
pub(crate) struct Kubernetes {
    nodes: BTreeMap<NodeName, Node>,
    watchers: Watchers<WatchEvent>,
    lease: Option<StoredLease>,
    vacancies: Vec<UnboundedSender<()>>,
    pub(crate) replicas: BTreeMap<String, jiff::Timestamp>,
    /// Nodes that ever were: a uid is never used again.
    pub(crate) born: u32,
}

impl Kubernetes {
    pub(crate) const fn nodes(&self) -> &BTreeMap<NodeName, Node> {
        &self.nodes
    }

    pub(crate) fn watch(&mut self, replica: ReplicaId, events: UnboundedSender<WatchEvent>) {
        self.watchers.watch(replica, events);
    }

    pub(crate) fn watch_vacancies(&mut self, words: UnboundedSender<()>) {
        self.vacancies.push(words);
    }

    pub(crate) fn seen_lease(&self) -> Option<SeenLease> {
        self.lease.as_ref().map(|l| SeenLease { record: l.record.clone(), version: l.version.to_string() })
    }
}

impl State {
    /// The names of those nodes that exist.
    pub(crate) fn names(&self, uids: &BTreeSet<NodeUid>) -> BTreeSet<NodeName> {
        let nodes = self.cluster.nodes.values().filter(|node| uids.contains(&node.uid));
        nodes.map(|node| node.name.clone()).collect()
    }

    /// A node appears or changes.
    pub(crate) fn apply_node(&mut self, node: Node) {
        self.cluster.nodes.insert(node.name.clone(), node.clone());
        self.tell_watchers(&WatchEvent::Applied(node));
    }

    /// Changes a node, if it is there.
    pub(crate) fn edit_node(&mut self, name: &NodeName, edit: impl FnOnce(&mut Node)) {
        let Some(node) = self.cluster.nodes.get(name) else { return };
        let mut edited = node.clone();
        edit(&mut edited);
        if edited != *node {
            self.apply_node(edited);
        }
    }

    /// As `kubectl delete node`: it waits for the finalizer.
    pub(crate) fn delete_node(&mut self, name: &NodeName) {
        let held = self.cluster.nodes.get(name).is_some_and(|node| node.finalizer);
        if held {
            let at = self.wall();
            self.edit_node(name, |node| node.deleting = node.deleting.or(Some(at)));
        } else {
            self.remove_node(name);
        }
    }

    /// The object is no more, whatever held it.
    pub(crate) fn remove_node(&mut self, name: &NodeName) {
        if let Some(node) = self.cluster.nodes.remove(name) {
            self.remove_pod(name);
            self.tell_watchers(&WatchEvent::Deleted(node.name, node.uid));
        }
    }

    /// Puts our finalizer on; answers whether the node is there and is still this one.
    pub(crate) fn put_finalizer(&mut self, name: &NodeName, uid: &NodeUid) {
        self.edit_node(name, |node| node.finalizer |= node.uid == *uid && node.deleting.is_none());
    }

    /// Takes our finalizer off; a deletion that waited for it is done then.
    pub(crate) fn take_finalizer(&mut self, name: &NodeName, uid: &NodeUid) {
        let Some(node) = self.cluster.nodes.get(name).filter(|n| n.uid == *uid) else { return };
        if node.deleting.is_some() {
            self.remove_node(name);
        } else {
            self.edit_node(name, |node| node.finalizer = false);
        }
    }

    fn tell_watchers(&mut self, event: &WatchEvent) {
        let now = self.now();
        match event {
            WatchEvent::Applied(node) => self.trace.note(now, format_args!("node {}", node_words(node))),
            WatchEvent::Deleted(name, uid) => self.trace.note(now, format_args!("node {name} ({uid}) is gone")),
            WatchEvent::Listed(_) => {}
        }
        self.cluster.watchers.tell(event, &self.weather);
        self.oracle.sees(&self.cluster.nodes, now);
    }

    /// 410 Gone: the watches of one controller begin anew.
    pub(crate) fn break_watches(&mut self, replica: ReplicaId) {
        let nodes: Vec<Node> = self.cluster.nodes.values().cloned().collect();
        self.cluster.watchers.tell_one(replica, &WatchEvent::Listed(nodes));
    }

    /// A write of the Lease, begun at `started`, has arrived.
    pub(crate) fn write_lease(
        &mut self,
        holder: &str,
        record: LeaseRecord,
        version: Option<&str>,
        started: Duration,
    ) -> LeaseWrite {
        let current = self.cluster.lease.as_ref().map(|l| l.version.to_string());
        if current.as_deref() != version {
            return LeaseWrite::Conflict;
        }
        let now = self.now();
        let silent = |l: &StoredLease| now.saturating_sub(l.written);
        let before = self.cluster.lease.as_ref().and_then(|l| l.record.holder.clone().map(|h| (h, silent(l))));
        let (oracle, mut moment) = self.judge();
        match (&record.holder, before) {
            (Some(to), Some((from, silence))) if from != *to => Oracle::handed_over(&mut moment, &from, to, silence),
            (Some(to), None) => moment.note(format_args!("lease taken by {to}")),
            (None, _) => moment.note(format_args!("lease given up by {holder}")),
            _ => {}
        }
        if record.holder.is_some() {
            oracle.granted(holder, started);
        } else {
            self.cluster.vacancies.retain(|words| words.send(()).is_ok());
        }
        let version = self.cluster.lease.as_ref().map_or(1, |l| l.version + 1);
        self.cluster.lease = Some(StoredLease { record, version, written: now });
        LeaseWrite::Done(version.to_string())
    }
}

fn node_words(node: &Node) -> String {
    let ready = node.ready.as_ref().map_or("-", |c| c.status.as_str());
    let taints: Vec<&str> = node.taints.iter().map(String::as_str).collect();
    let address = node.addresses.first().map(|a| a.address.to_string()).unwrap_or_default();
    let marks =
        [(node.deleting.is_some(), " deleting"), (node.finalizer, " held"), (!node.labels.is_empty(), " labels")];
    let marks: String = marks.into_iter().filter(|(so, _)| *so).map(|(_, word)| word).collect();
    format!("{} ({}) {address} Ready={ready} {}{marks}", node.name, node.uid, taints.join(","))
}
