//! The line of each node in the status.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_core::eligibility::Rule;
use tidegate_core::guard::Hold;
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::ledger::Ledger;
use tidegate_core::log::Phase;
use tidegate_core::membership::{Member, MemberState, Membership};
use tidegate_core::plan::{Judged, Plan};
use tidegate_core::status::{NodeAtListener, NodeStatus};

/// Which rule speaks about which node.
pub(super) type Speaking = (NodeUid, Rule);

/// Every node that is observed or a member, by name.
pub(super) fn node_statuses(
    plan: &Plan,
    membership: &Membership,
    ledger: &mut Ledger<Speaking>,
    now: Timestamp,
) -> Vec<NodeStatus> {
    let of_nodes = plan.holds.iter().filter(|hold| hold.listener.is_none());
    let held: BTreeMap<&NodeName, &Hold> = of_nodes.map(|h| (&h.node, h)).collect();
    let observed: BTreeMap<&NodeUid, &Judged> = plan.judged.iter().map(|j| (&j.uid, j)).collect();
    let seen = plan.judged.iter().map(|j| judged_status(j, membership.get(&j.uid), held.get(&j.node).copied()));
    let unseen = membership.members().iter().filter(|(uid, _)| !observed.contains_key(uid));
    let asked = |uid: &NodeUid| plan.confirm.iter().any(|(_, asked)| asked == uid);
    let unseen = unseen.map(|(uid, m)| unseen_status(uid, m, held.get(&m.node).copied(), asked(uid)));
    let mut nodes: Vec<NodeStatus> = seen.chain(unseen).collect();
    ledger.update(nodes.iter().map(|n| (n.uid.clone(), n.rule)), now);
    for node in &mut nodes {
        let spoken = ledger.since(&(node.uid.clone(), node.rule)).unwrap_or(now);
        // The record remembers across a restart, the ledger only since the start.
        let recorded = membership.get(&node.uid).filter(|m| m.rule == node.rule).map(|m| m.since);
        node.since = recorded.map_or(spoken, |at| at.min(spoken));
    }
    for node in &mut nodes {
        node.listeners = at_listeners(node, membership.get(&node.uid), &plan.holds);
    }
    nodes.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
    nodes
}

fn judged_status(judged: &Judged, member: Option<&Member>, hold: Option<&Hold>) -> NodeStatus {
    let verdict = &judged.verdict;
    NodeStatus {
        name: judged.node.clone(),
        uid: judged.uid.clone(),
        addresses: judged.addresses.clone(),
        state: Phase::of(member),
        rule: verdict.rule,
        reason: verdict.reason.clone(),
        since: Timestamp::MIN,
        deadline: member.and_then(deadline),
        recheck_at: verdict.recheck_at,
        held_by: hold.filter(|h| h.rule == verdict.rule).map(|h| h.guard),
        listeners: Vec::new(),
    }
}

/// A member whose Node is not among the observed ones.
fn unseen_status(uid: &NodeUid, member: &Member, hold: Option<&Hold>, asked: bool) -> NodeStatus {
    let reason = match hold {
        Some(hold) if hold.rule == Rule::Gone => "the Node object no longer exists (LIST and GET agree)".to_owned(),
        None if asked => "the Node is in no LIST and no watch; asking the API server for it by name".to_owned(),
        _ => member.reason.clone(),
    };
    NodeStatus {
        name: member.node.clone(),
        uid: uid.clone(),
        addresses: member.addresses.clone(),
        state: Phase::of(Some(member)),
        rule: hold.map_or(member.rule, |h| h.rule),
        reason,
        since: Timestamp::MIN,
        deadline: deadline(member),
        recheck_at: None,
        held_by: hold.map(|h| h.guard),
        listeners: Vec::new(),
    }
}

/// The listeners that a member does not carry, and those that it should not.
fn at_listeners(node: &NodeStatus, member: Option<&Member>, holds: &[Hold]) -> Vec<NodeAtListener> {
    let apart = member.into_iter().flat_map(|member| &member.apart).map(|(listener, apart)| NodeAtListener {
        listener: listener.clone(),
        state: if apart.deadline.is_some() { Phase::Draining } else { Phase::Out },
        rule: apart.rule,
        reason: apart.reason.clone(),
        since: Some(apart.since),
        deadline: apart.deadline,
        held_by: None,
    });
    let of_this = holds.iter().filter(|hold| hold.uid == node.uid);
    let held = of_this.filter_map(|hold| {
        let (listener, state) = (hold.listener.clone()?, node.state);
        let (rule, reason, held_by) = (hold.rule, hold.reason.clone(), Some(hold.guard));
        Some(NodeAtListener { listener, state, rule, reason, since: None, deadline: None, held_by })
    });
    apart.chain(held).collect()
}

fn deadline(member: &Member) -> Option<Timestamp> {
    match member.state {
        MemberState::Draining { deadline } => Some(deadline),
        MemberState::Active => None,
    }
}
