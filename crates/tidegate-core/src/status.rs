//! What the controller's API says of itself: `/api/v1/status`, `/api/v1/nodes/{name}`, `/api/v1/history`.
//!
//! The field names are a contract with users' scripts (`docs/api.md`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::eligibility::Rule;
use crate::guard::{Guard, Override};
use crate::ids::{ClusterName, ListenerName, LoadBalancerName, NodeName, NodeUid};
use crate::log::{LogEntry, Phase};
use crate::node::Zone;
use crate::order::Order;
use crate::position::{Position, Term};
use crate::protocol::{BackendProbe, DriftReport, EngineHealth, LastError, Live, ProbeReport, ReloadBudget};

/// `/api/v1/status`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The cluster's configured name.
    pub cluster: ClusterName,
    /// Who decides.
    pub leader: Leader,
    /// What every load balancer should serve; absent before there is anything to serve.
    pub desired: Option<Live>,
    /// Why nothing is taken out at the moment (guard G0).
    pub frozen: Option<Frozen>,
    /// Every node that is observed or a member, by name.
    pub nodes: Vec<NodeStatus>,
    /// Every load balancer machine.
    pub load_balancers: Vec<LoadBalancerStatus>,
    /// Every guard that holds something back.
    pub guards: Vec<GuardStatus>,
    /// Guards that an operator has overridden for now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<OverrideStatus>,
    /// What the listeners follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follows: Vec<FollowStatus>,
    /// Every controller that was heard of lately, the one that answers included.
    #[serde(default)]
    pub replicas: Vec<ReplicaStatus>,
    /// Node deletions that wait for our finalizer.
    #[serde(default)]
    pub finalizers: Vec<FinalizerStatus>,
}

impl ClusterStatus {
    /// Whether every load balancer serves what is desired and nothing is frozen or held.
    pub fn is_in_sync(&self) -> bool {
        self.desired.is_some()
            && self.frozen.is_none()
            && self.guards.is_empty()
            && self.follows.iter().all(|follow| follow.problem.is_none())
            && self.load_balancers.iter().all(|lb| lb.in_sync)
    }
}

/// What listeners follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowStatus {
    /// What, in words.
    pub follow: String,
    /// Nodes on which a pod of it is Ready.
    pub ready_nodes: usize,
    /// Why that may be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leader {
    /// Host name and process.
    pub holder: String,
    /// Its term.
    pub term: Term,
    /// Whether that is the process which answers.
    pub is_self: bool,
    /// Since when.
    pub since: Timestamp,
}

/// One controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaStatus {
    /// Host name (the pod's) and process.
    pub holder: String,
    /// Whether it leads, by the Lease.
    pub is_leader: bool,
    /// When it was last heard of.
    pub last_seen: Timestamp,
}

/// One Node whose deletion waits for our finalizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizerStatus {
    /// The node.
    pub node: NodeName,
    /// When it is released at the latest.
    pub deadline: Timestamp,
    /// What it waits for, in words.
    pub waits_for: String,
}

/// The view of the cluster is too old to take anything out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// `metadata.name`
    pub name: NodeName,
    /// `metadata.uid`
    pub uid: NodeUid,
    /// Where it is, or would be, reached.
    pub addresses: Vec<IpAddr>,
    /// Where it stands.
    pub state: Phase,
    /// The rule that speaks now.
    pub rule: Rule,
    /// What that rule sees.
    pub reason: String,
    /// Since when the rule has spoken.
    pub since: Timestamp,
    /// When a draining node is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// When time alone may change this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck_at: Option<Timestamp>,
    /// The guard that keeps the rule from being followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Guard>,
    /// Listeners that it does not carry, or should not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<NodeAtListener>,
}

/// A node behind one listener, where that is not as with the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAtListener {
    /// Which listener.
    pub listener: ListenerName,
    /// Where the node stands behind it.
    pub state: Phase,
    /// The rule that speaks.
    pub rule: Rule,
    /// What that rule sees, or why a guard does not let it.
    pub reason: String,
    /// Since when, where that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When what drains is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The guard that keeps the rule from being followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Guard>,
}

/// One load balancer machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerStatus {
    /// Its configured name.
    pub name: LoadBalancerName,
    /// `nginx`, ...; absent until it has answered.
    pub engine: Option<String>,
    /// How the engine is; absent until it has answered.
    pub health: Option<EngineHealth>,
    /// What it serves.
    pub live: Option<Live>,
    /// Whether that is what is desired.
    pub in_sync: bool,
    /// When it last answered.
    pub last_seen: Option<Timestamp>,
    /// Why it does not serve what is desired: its own last failure, or why it cannot be reached.
    pub last_error: Option<LoadBalancerError>,
    /// What stands behind its listeners.
    pub backends: Vec<BackendStatus>,
    /// Engine reloads since its agent started.
    pub reloads: u64,
    /// How far apart reloads are kept; absent for an engine that changes in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_budget: Option<ReloadBudget>,
    /// Earlier generations that still hold connections.
    pub old_generations: u64,
    /// The last foreign change to what it serves, if there was one since its agent started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftReport>,
    /// What its prober says of itself; absent where nobody is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<ProbeReport>,
}

/// Why a load balancer is behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerError {
    /// When.
    pub at: Timestamp,
    /// What, with its cure.
    pub message: String,
}

impl From<&LastError> for LoadBalancerError {
    fn from(error: &LastError) -> Self {
        let failure = &error.failure;
        let cure = if failure.cure.is_empty() { String::new() } else { format!("; cure: {}", failure.cure) };
        Self { at: error.at, message: format!("{} failed: {}{cure}", failure.step, failure.message) }
    }
}

/// One node address behind one listener of one load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// The listener.
    pub listener: ListenerName,
    /// The node.
    pub node: NodeName,
    /// The address.
    pub address: IpAddr,
    /// Whether it takes no new connection.
    #[serde(default)]
    pub draining: bool,
    /// Open connections, where the engine can tell.
    pub connections: Option<u64>,
    /// Its zone, when the load balancer sends nobody there because it prefers its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<Zone>,
    /// What asking it came to; absent when it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<BackendProbe>,
}

/// A guard that holds something back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardStatus {
    /// Which.
    pub guard: Guard,
    /// The nodes that stay as they are.
    pub holding: Vec<NodeName>,
    /// Since the first of them.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// A guard that does not hold for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideStatus {
    /// Which.
    pub guard: Guard,
    /// Until when, who asked, and what for.
    #[serde(flatten)]
    pub order: Override,
}

/// `/api/v1/nodes/{name}`: everything that `tidegate explain` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeDetail {
    /// As in the cluster's status; absent when the node is neither observed nor a member.
    pub node: Option<NodeStatus>,
    /// What would change its state.
    pub outlook: String,
    /// What an operator asked for, until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// What its deletion waits for, if it waits for our finalizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalizer: Option<FinalizerStatus>,
    /// Per load balancer: is it live there?
    pub load_balancers: Vec<NodeAtLoadBalancer>,
    /// Its latest changes, newest first.
    pub history: Vec<HistoryRow>,
}

/// One node as one load balancer has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAtLoadBalancer {
    /// The load balancer.
    pub name: LoadBalancerName,
    /// Whether new connections may reach the node through it, as far as is known.
    pub live: Option<bool>,
    /// What it serves.
    pub position: Option<Position>,
    /// What asking the node came to there, by listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ListenerProbe>,
    /// Listeners that send nobody there because they prefer the load balancer's own zone, each with the node's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<ListenerName, Zone>,
}

/// What asking a node came to, behind one listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerProbe {
    /// The listener.
    pub listener: ListenerName,
    /// The verdict.
    #[serde(flatten)]
    pub probe: BackendProbe,
}

/// One change, as `tidegate history` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRow {
    /// When.
    pub at: Timestamp,
    /// The commit.
    #[serde(flatten)]
    pub position: Position,
    /// Who wrote it.
    pub holder: String,
    /// What happened to a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<HistoryChange>,
    /// What else happened, in words: an operator's order, a repair of the read model. With neither: an election.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One node's step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryChange {
    /// The node.
    pub node: NodeName,
    /// Its uid.
    pub uid: NodeUid,
    /// From this phase
    pub from: Phase,
    /// to this one.
    pub to: Phase,
    /// By this rule,
    pub rule: Rule,
    /// which saw this.
    pub observation: String,
}

impl HistoryRow {
    /// What a log entry says about one node; about everything when none is named.
    pub fn about(entry: &LogEntry, node: Option<&NodeName>) -> Vec<Self> {
        let Some(name) = node else { return Self::of(entry) };
        let mut entry = entry.clone();
        entry.changes.retain(|change| change.node == *name);
        entry.orders.retain(|order| order.node == *name);
        entry.overrides.clear();
        entry.repairs.clear();
        if entry.is_election() { Vec::new() } else { Self::of(&entry) }
    }

    /// The rows of a log entry: one for each thing that it decides, or one for an election.
    pub fn of(entry: &LogEntry) -> Vec<Self> {
        let row = |change, note| {
            let (at, position, holder) = (entry.at, entry.position(), entry.holder.clone());
            Self { at, position, holder, change, note }
        };
        if entry.is_election() {
            return vec![row(None, None)];
        }
        let step = |c: &crate::log::Change| HistoryChange {
            node: c.node.clone(),
            uid: c.uid.clone(),
            from: c.from,
            to: c.phase(),
            rule: c.rule,
            observation: c.observation.clone(),
        };
        let orders = entry.orders.iter().map(|o| row(None, Some(o.to_string())));
        let repairs = entry.repairs.iter().map(|r| row(None, Some(r.clone())));
        let overrides = entry.overrides.iter().map(|o| row(None, Some(o.to_string())));
        orders.chain(overrides).chain(entry.changes.iter().map(|c| row(Some(step(c)), None))).chain(repairs).collect()
    }
}
