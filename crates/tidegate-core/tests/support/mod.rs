//! Nodes, members and worlds for the tests of core.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::follow::{Follow, FollowView};
use tidegate_core::guard::{Freshness, Guard, OverrideChange, Removals, Suspicion};
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::log::{Decision, LogState, Phase};
use tidegate_core::node::{AddressType, Condition, ConditionStatus, Node, NodeAddress};
use tidegate_core::order::{OrderChange, OrderKind};
use tidegate_core::plan::{Plan, PlanInput, plan};
use tidegate_core::policy::NodePolicy;
use tidegate_core::position::Term;
use tidegate_core::view::ClusterView;

pub const FRESH: Freshness =
    Freshness { list_age: Some(Duration::ZERO), limit: Duration::from_secs(90), vouched: true, lists_wanted: 0 };
pub const STALE: Freshness = Freshness { list_age: Some(Duration::from_secs(91)), ..FRESH };

/// Seconds after an arbitrary start.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

pub fn uid(text: &str) -> NodeUid {
    NodeUid::parse(text).unwrap()
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn condition(status: ConditionStatus, since: Timestamp) -> Condition {
    let (reason, message) = match status {
        ConditionStatus::True => ("KubeletReady", "kubelet is posting ready status"),
        ConditionStatus::False => ("KubeletNotReady", "container runtime is down"),
        ConditionStatus::Unknown => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
    };
    Condition { status, reason: reason.into(), message: message.into(), since }
}

/// A worker that has been Ready since long before the tests' start; its uid is `u-<name>`.
pub fn worker(node: &str, address: &str) -> Node {
    Node {
        name: name(node),
        uid: uid(&format!("u-{node}")),
        created: Some(at(-10_000)),
        deleting: None,
        labels: BTreeMap::default(),
        annotations: BTreeMap::default(),
        finalizer: false,
        taints: BTreeSet::default(),
        unschedulable: false,
        addresses: vec![NodeAddress { kind: AddressType::InternalIp, address: ip(address) }],
        hostname: Some(node.into()),
        ready: Some(condition(ConditionStatus::True, at(-9_000))),
        network_unavailable: None,
    }
}

pub fn with_ready(mut node: Node, status: ConditionStatus, since: Timestamp) -> Node {
    node.ready = Some(condition(status, since));
    node
}

/// An observed cluster and its record, driven step by step.
#[derive(Default)]
pub struct World {
    pub view: ClusterView,
    pub log: LogState,
    pub policy: NodePolicy,
    pub idle: BTreeSet<NodeUid>,
    pub answers: BTreeMap<IpAddr, bool>,
    pub follows: BTreeMap<Follow, FollowView>,
    pub removals: Removals,
    pub suspicion: Suspicion,
}

impl World {
    /// A world whose first LIST showed these nodes, all of them already taken in.
    pub fn serving(nodes: &[Node]) -> Self {
        let mut world = Self::default();
        world.view.replace(nodes.to_vec());
        world.step(at(0));
        world
    }

    pub fn plan(&self, freshness: Freshness, now: Timestamp) -> Plan {
        let (view, membership, policy) = (&self.view, &self.log.membership, &self.policy);
        let (orders, idle, overrides) = (&self.log.orders, &self.idle, &self.log.overrides);
        let (removals, suspicion, answers) = (&self.removals, &self.suspicion, &self.answers);
        let follows = &self.follows;
        plan(&PlanInput {
            view,
            membership,
            orders,
            idle,
            answers,
            follows,
            policy,
            freshness,
            removals,
            suspicion,
            overrides,
            now,
        })
    }

    /// Plans with a fresh view and commits.
    pub fn step(&mut self, now: Timestamp) -> Plan {
        self.step_with(FRESH, now)
    }

    /// Plans and commits until nothing is left to do, as the controller does: an address that one commit
    /// frees may be taken in the next. Answers the last plan, with the changes of all of them.
    pub fn step_with(&mut self, freshness: Freshness, now: Timestamp) -> Plan {
        let mut changes = Vec::new();
        for _ in 0..6 {
            let mut plan = self.plan(freshness, now);
            self.suspicion.take(&plan.signs, now);
            if plan.changes.is_empty() {
                plan.changes = changes;
                return plan;
            }
            let entry = self.log.next_entry(Term(1), "test", now, plan.changes.clone());
            self.log.append(&entry).unwrap();
            self.removals.note(&entry);
            changes.append(&mut plan.changes);
        }
        panic!("committed plans must leave nothing to do, still: {changes:#?}");
    }

    /// Commits what an operator asks for, and nothing else.
    pub fn order(&mut self, kind: OrderKind, node: &str, now: Timestamp) {
        let (uid, node) = (uid(&format!("u-{node}")), name(node));
        let order = OrderChange { uid, node, kind, by: "ann@ops".into(), why: "new disk".into() };
        let entry = self.log.next_entry(Term(1), "test", now, Decision { orders: vec![order], ..Decision::default() });
        self.log.append(&entry).unwrap();
    }

    pub fn phase(&self, node: &str) -> Phase {
        Phase::of(self.log.membership.get(&uid(&format!("u-{node}"))))
    }

    pub fn phases(&self, nodes: &[&str]) -> Vec<Phase> {
        nodes.iter().map(|n| self.phase(n)).collect()
    }
}

/// An operator overrides a guard, from then on for this long.
pub fn lets_through(world: &mut World, guard: Guard, seconds: i64, lasts: i64) {
    let change = OverrideChange { guard, until: at(seconds + lasts), by: "ann@ops".into(), why: "rack 4".into() };
    let decision = Decision { overrides: vec![change], ..Decision::default() };
    let entry = world.log.next_entry(Term(1), "test", at(seconds), decision);
    world.log.append(&entry).unwrap();
}
