//! Everything about one node: `/api/v1/nodes/{name}`.

use tidegate_core::desired::Backend;
use tidegate_core::ids::NodeName;
use tidegate_core::log::Phase;
use tidegate_core::order::Order;
use tidegate_core::protocol::LiveBackend;
use tidegate_core::status::{ListenerProbe, NodeAtLoadBalancer, NodeDetail, NodeStatus};

use super::ApiState;
use super::error::QuestionError;
use super::routes::rows;
use crate::status::{Balancer, Outlook, Picture, outlook};

/// The latest changes that are shown with a node.
const HISTORY: usize = 20;

pub(super) async fn detail(state: &ApiState, name: NodeName) -> Result<NodeDetail, QuestionError> {
    let Some(picture) = state.board.picture() else {
        let why = state.board.problem().unwrap_or_else(|| "starting".to_owned());
        return Err(QuestionError::NotReady(why));
    };
    let node = of_name(&picture, &name).cloned();
    let history = rows(state, Some(name.clone()), HISTORY).await;
    // A node that is there is explained even while the store does not answer.
    let history = if node.is_some() { history.unwrap_or_default() } else { history? };
    if node.is_none() && history.is_empty() {
        return Err(QuestionError::NoSuchNode(name));
    }
    let held_by = node.as_ref().and_then(|n| n.held_by);
    let guard = picture.guards.iter().find(|g| Some(g.guard) == held_by);
    let outlook = outlook(&Outlook {
        node: node.as_ref(),
        policy: &state.settings.policy,
        guard_reason: guard.map(|g| g.reason.as_str()),
        now: state.clock.now(),
    });
    let load_balancers = state.board.balancers().map(|b| at_balancer(&b, &picture, &name)).collect();
    let order = order_about(&picture, node.as_ref(), &name).cloned();
    let finalizer = picture.finalizers.iter().find(|f| f.node == name).cloned();
    Ok(NodeDetail { node, outlook, order, finalizer, load_balancers, history })
}

/// Of two nodes that had one name, the one that is still observed or serves.
fn of_name<'a>(picture: &'a Picture, name: &NodeName) -> Option<&'a NodeStatus> {
    picture.nodes.iter().filter(|n| n.name == *name).min_by_key(|n| match n.state {
        Phase::Active => 0,
        Phase::Draining => 1,
        Phase::Out => 2,
    })
}

/// An order outlives the sight of its node until it is certain that the node is gone.
fn order_about<'a>(picture: &'a Picture, node: Option<&NodeStatus>, name: &NodeName) -> Option<&'a Order> {
    match node {
        Some(node) => picture.orders.get(&node.uid),
        None => picture.orders.iter().map(|(_, order)| order).find(|order| order.node == *name),
    }
}

fn at_balancer(balancer: &Balancer, picture: &Picture, name: &NodeName) -> NodeAtLoadBalancer {
    let said = balancer.said.as_deref();
    let backends = || said.into_iter().flat_map(|said| &said.backends).filter(|b| b.node == *name);
    let is_out = |b: &LiveBackend| b.set_aside.is_some() || b.probe.as_ref().is_some_and(|probe| probe.out);
    let desired = picture.published.as_ref().filter(|_| balancer.live == picture.desired());
    let takes_new = |pool: &[Backend]| pool.iter().any(|b| b.node == *name && b.is_active());
    let live = match (desired, said) {
        (Some(state), _) if !backends().any(is_out) => Some(state.pools.values().any(|pool| takes_new(pool))),
        // Behind, or at odds with its own probes or its zone: whatever stands there and is not out may take connections.
        (_, Some(_)) => Some(backends().any(|b| !b.draining && !is_out(b))),
        (_, None) => None,
    };
    let probe = |b: &LiveBackend| {
        let listener = b.listener.clone();
        b.probe.clone().map(|probe| ListenerProbe { listener, probe })
    };
    let aside = |b: &LiveBackend| Some((b.listener.clone(), b.set_aside.clone()?));
    let (probes, set_aside) = (backends().filter_map(probe).collect(), backends().filter_map(aside).collect());
    let (name, position) = (balancer.name.clone(), balancer.live.map(|l| l.position));
    NodeAtLoadBalancer { name, live, position, probes, set_aside }
}
