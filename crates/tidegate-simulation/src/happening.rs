//! What happens in the cluster without anything being wrong with Tidegate: nodes come, go, fail, move, and operators
//! change their minds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::follow::InstanceState;
use tidegate_core::ids::NodeName;
use tidegate_core::node::{AddressType, Condition, ConditionStatus, Node, NodeAddress};
use tidegate_core::order::OrderKind;

use crate::dice::Dice;
use crate::oracle::{AUTOSCALER_TAINT, EXCLUDE_LABEL, OUT_OF_SERVICE_TAINT};
use crate::parties::{SLOTS, Slot};
use crate::world::State;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// A node registers, if there is none of that name.
    Join(Slot),
    /// `kubectl delete node`
    Delete(Slot),
    /// The machine registers anew under the same name, as another node.
    Recreate(Slot),
    /// Its kubelet reports, or not.
    Ready(Slot, bool),
    /// The control plane has trouble, or is well again.
    AllReady(bool),
    /// The kubelet says that the node is shutting down.
    ShutsDown(Slot),
    /// The cluster autoscaler announces the end, or changes its mind.
    Announce(Slot, bool),
    /// Somebody says that the machine is off, or on.
    OutOfService(Slot, bool),
    /// The label that excludes it from load balancers.
    Exclude(Slot, bool),
    /// Two nodes swap their addresses.
    Swap(Slot, Slot),
    /// Somebody edits the finalizers by hand.
    StripFinalizer(Slot),
    /// `tidegate drain` or `undrain`
    Order(Slot, OrderKind),
}

/// What happens in a run, in its order.
pub(crate) fn plan_happenings(dice: &mut Dice, end: Duration) -> Vec<(Duration, Happening)> {
    let mut plan: Vec<(Duration, Happening)> = (0..5).map(|n| (Duration::ZERO, Happening::Join(Slot(n)))).collect();
    let mut at = Duration::from_secs(20);
    while at < end {
        at += if dice.one_in(4) { dice.millis(1, 3000) } else { dice.seconds(2, 45) };
        any_happening(dice, at, &mut plan);
    }
    plan.retain(|(at, _)| *at < end);
    plan.sort_by_key(|(at, _)| *at);
    plan
}

pub(crate) fn any_slot(dice: &mut Dice) -> Slot {
    Slot(u8::try_from(dice.below(u64::from(SLOTS))).unwrap_or(0))
}

/// Something, and mostly its opposite a while later.
fn any_happening(dice: &mut Dice, at: Duration, plan: &mut Vec<(Duration, Happening)>) {
    let (slot, other) = (any_slot(dice), any_slot(dice));
    let (soon, later) = (at + dice.seconds(1, 40), at + dice.seconds(10, 200));
    let mut both = |first, back, second| plan.extend([(at, first), (back, second)]);
    match dice.below(20) {
        0..=2 => plan.push((at, Happening::Join(slot))),
        3 | 4 => both(Happening::Delete(slot), later, Happening::Join(slot)),
        5 => plan.push((at, Happening::Recreate(slot))),
        6..=9 => both(Happening::Ready(slot, false), soon, Happening::Ready(slot, true)),
        10 => both(Happening::AllReady(false), later, Happening::AllReady(true)),
        11 => both(Happening::ShutsDown(slot), later, Happening::Ready(slot, true)),
        12 | 13 => both(Happening::Announce(slot, true), later, Happening::Announce(slot, false)),
        14 => both(Happening::OutOfService(slot, true), later, Happening::OutOfService(slot, false)),
        15 => both(Happening::Exclude(slot, true), later, Happening::Exclude(slot, false)),
        16 => plan.push((at, Happening::Swap(slot, other))),
        17 => plan.push((at, Happening::StripFinalizer(slot))),
        _ => {
            // Long enough to outlive a leader, most of the time.
            let undrain = later + dice.seconds(0, 200);
            both(Happening::Order(slot, OrderKind::Drain), undrain, Happening::Order(slot, OrderKind::Undrain));
        }
    }
}

impl State {
    /// Lets it happen; what cannot happen now does not. Orders are for the controllers to take.
    pub(crate) fn happen(&mut self, happening: Happening) {
        self.oracle.counts.happenings += 1;
        let (name, wall) = (slot_of(happening).name(), self.wall());
        match happening {
            Happening::Join(slot) => self.join(slot),
            Happening::Delete(_) => self.delete_node(&name),
            Happening::Recreate(slot) => {
                if self.cluster.nodes().contains_key(&name) {
                    self.remove_node(&name);
                    self.join(slot);
                }
            }
            Happening::Ready(_, ready) => self.turn(&name, ready, "", wall),
            Happening::AllReady(ready) => {
                let names: Vec<NodeName> = self.cluster.nodes().keys().cloned().collect();
                for name in &names {
                    self.turn(name, ready, "", wall);
                }
            }
            Happening::ShutsDown(_) => self.turn(&name, false, "node is shutting down", wall),
            Happening::Announce(_, on) => self.edit_node(&name, |node| set_taint(node, AUTOSCALER_TAINT, on)),
            Happening::OutOfService(_, on) => self.edit_node(&name, |node| set_taint(node, OUT_OF_SERVICE_TAINT, on)),
            Happening::Exclude(_, on) => self.edit_node(&name, |node| set_excluded(node, on)),
            Happening::Swap(one, other) => self.swap(&one.name(), &other.name()),
            Happening::StripFinalizer(_) => self.strip(&name),
            Happening::Order(..) => {}
        }
    }

    fn join(&mut self, slot: Slot) {
        if self.cluster.nodes().contains_key(&slot.name()) {
            return;
        }
        self.cluster.born += 1;
        let taken = |address| self.cluster.nodes().values().any(|n| n.addresses.iter().any(|a| a.address == address));
        let mut address = slot.address();
        while taken(address) {
            address = Slot(address_number(address) + SLOTS).address();
        }
        let node = new_node(slot, self.cluster.born, address, self.wall());
        let name = node.name.clone();
        self.apply_node(node);
        self.start_pod(&name, InstanceState::Ready);
    }

    /// The node is Ready or not, and with it its pod, as node lifecycle has it.
    fn turn(&mut self, name: &NodeName, ready: bool, message: &str, wall: Timestamp) {
        self.edit_node(name, |node| set_ready(node, ready, message, wall));
        self.ready_pod(name, ready);
    }

    fn swap(&mut self, one: &NodeName, other: &NodeName) {
        let nodes = self.cluster.nodes();
        let (Some(a), Some(b)) = (nodes.get(one), nodes.get(other)) else { return };
        let (a, b) = (a.addresses.clone(), b.addresses.clone());
        self.edit_node(one, |node| node.addresses = b);
        self.edit_node(other, |node| node.addresses = a);
    }

    fn strip(&mut self, name: &NodeName) {
        let Some(uid) = self.cluster.nodes().get(name).filter(|n| n.finalizer).map(|n| n.uid.clone()) else { return };
        self.take_finalizer(name, &uid);
    }

    /// Nobody can tell what a cluster without a single good node should end as.
    pub(crate) fn ensure_somebody_is_well(&mut self) {
        let now = self.now();
        if self.oracle.anybody_well(now) {
            return;
        }
        for slot in (0..SLOTS).map(Slot).filter(|s| s.0 >= 5) {
            self.remove_node(&slot.name());
            self.join(slot);
        }
    }
}

const fn slot_of(happening: Happening) -> Slot {
    match happening {
        Happening::Join(slot)
        | Happening::Delete(slot)
        | Happening::Recreate(slot)
        | Happening::Ready(slot, _)
        | Happening::ShutsDown(slot)
        | Happening::Announce(slot, _)
        | Happening::OutOfService(slot, _)
        | Happening::Exclude(slot, _)
        | Happening::Swap(slot, _)
        | Happening::StripFinalizer(slot)
        | Happening::Order(slot, _) => slot,
        Happening::AllReady(_) => Slot(0),
    }
}

const fn address_number(address: std::net::IpAddr) -> u8 {
    match address {
        std::net::IpAddr::V4(v4) => v4.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    }
}

fn new_node(slot: Slot, n: u32, address: std::net::IpAddr, now: Timestamp) -> Node {
    let mut node = Node {
        name: slot.name(),
        uid: slot.uid(n),
        created: Some(now),
        deleting: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        finalizer: false,
        taints: BTreeSet::new(),
        unschedulable: false,
        addresses: vec![NodeAddress { kind: AddressType::InternalIp, address }],
        hostname: None,
        ready: None,
        network_unavailable: None,
    };
    set_ready(&mut node, true, "", now);
    node
}

fn set_ready(node: &mut Node, ready: bool, message: &str, now: Timestamp) {
    let (status, reason) =
        if ready { (ConditionStatus::True, "KubeletReady") } else { (ConditionStatus::False, "KubeletNotReady") };
    let before = node.ready.as_ref().filter(|c| c.status == status).map(|c| c.since);
    let since = before.unwrap_or(now);
    node.ready = Some(Condition { status, reason: reason.into(), message: message.into(), since });
}

fn set_taint(node: &mut Node, taint: &str, on: bool) {
    if on {
        node.taints.insert(taint.to_owned());
    } else {
        node.taints.remove(taint);
    }
}

fn set_excluded(node: &mut Node, on: bool) {
    if on {
        node.labels.insert(EXCLUDE_LABEL.to_owned(), String::new());
    } else {
        node.labels.remove(EXCLUDE_LABEL);
    }
}
