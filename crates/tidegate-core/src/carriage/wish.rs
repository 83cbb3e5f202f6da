//! What a listener wants of one member.

use std::collections::BTreeMap;

use super::Demand;
use crate::eligibility::Rule;
use crate::follow::{FollowView, Instance, InstanceState};
use crate::ids::NodeName;
use crate::membership::Member;
use crate::plan::PlanInput;

/// What a listener wants of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It carries it; for people, why.
    Carry(String),
    /// It does not, by this rule, which saw this.
    Part(Rule, String),
    /// It cannot be told yet: everyone stays as they are, and who is new waits.
    NotKnown(String),
}

/// All that a listener looks at, made ready once for all members.
pub(super) struct Wishes<'a> {
    input: &'a PlanInput<'a>,
    demand: &'a Demand,
    view: Option<&'a FollowView>,
    pods: BTreeMap<&'a NodeName, Vec<&'a Instance>>,
}

impl<'a> Wishes<'a> {
    pub(super) fn of(input: &'a PlanInput<'a>, demand: &'a Demand) -> Self {
        let view = demand.follow.as_ref().and_then(|follow| input.follows.get(follow));
        Self { input, demand, view, pods: view.map(FollowView::by_node).unwrap_or_default() }
    }

    /// Why what is followed may be wrong.
    pub(super) fn problem(&self) -> Option<&str> {
        self.view.and_then(FollowView::problem)
    }

    pub(super) fn about(&self, member: &Member) -> Wish {
        if let Some(wish) = self.outside_pool(member) {
            return wish;
        }
        let Some(follow) = &self.demand.follow else {
            return Wish::Carry("it is one of the listener's nodes".to_owned());
        };
        if !self.view.is_some_and(FollowView::is_listed) {
            return Wish::NotKnown(format!("{follow}: not listed yet"));
        }
        let pods = self.pods.get(&member.node).map(Vec::as_slice).unwrap_or_default();
        let with = |state| pods.iter().find(|pod| pod.state == state).copied();
        if let Some(pod) = with(InstanceState::Ready) {
            return Wish::Carry(format!("pod {} is Ready{}", pod.name, since(pod)));
        }
        if let Some(pod) = with(InstanceState::Ending) {
            return Wish::Part(Rule::PodEnding, format!("pod {} is being ended", pod.name));
        }
        match with(InstanceState::NotReady) {
            Some(pod) => Wish::Part(Rule::PodNotReady, format!("pod {} is not Ready{}", pod.name, since(pod))),
            None => Wish::Part(Rule::NoPod, format!("none of {follow} is on this node")),
        }
    }

    fn outside_pool(&self, member: &Member) -> Option<Wish> {
        let selector = self.demand.nodes.as_ref()?;
        // A member whose Node is not observed at the moment keeps what it has.
        let node = self.input.view.get(&member.node)?;
        let reason = || format!("labels do not match the listener's nodes {selector}");
        (!selector.matches(&node.labels)).then(|| Wish::Part(Rule::OutsidePool, reason()))
    }
}

fn since(pod: &Instance) -> String {
    pod.since.map(|since| format!(" since {since}")).unwrap_or_default()
}
