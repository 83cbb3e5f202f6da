//! A sentence that says what would change a node's state.

use jiff::Timestamp;
use tidegate_core::eligibility::Rule;
use tidegate_core::guard::Guard;
use tidegate_core::log::Phase;
use tidegate_core::policy::NodePolicy;
use tidegate_core::status::NodeStatus;
use tidegate_core::time::{elapsed, human};

/// What the sentence rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook<'a> {
    /// The node; none when it is neither observed nor a member.
    pub(crate) node: Option<&'a NodeStatus>,
    /// The switches.
    pub(crate) policy: &'a NodePolicy,
    /// Why the guard that holds the node does so.
    pub(crate) guard_reason: Option<&'a str>,
    /// The time.
    pub(crate) now: Timestamp,
}

/// What would change the state of this node.
pub(crate) fn outlook(input: &Outlook<'_>) -> String {
    let Some(node) = input.node else {
        let delay = human(input.policy.join_delay);
        return format!("not in the cluster; a Node of this name becomes active after being Ready for {delay}");
    };
    if let Some(guard) = node.held_by {
        return held(guard, input.guard_reason.unwrap_or_default());
    }
    match node.state {
        Phase::Out => out(node, input),
        Phase::Draining => draining(node, input),
        Phase::Active => active(node, input),
    }
}

fn held(guard: Guard, reason: &str) -> String {
    let until = match guard {
        Guard::Fresh => "goes on when the API server has answered a complete LIST",
        Guard::NeverEmpty => "goes when another node becomes active",
        Guard::Half => "goes when enough of the others serve again",
        Guard::Velocity => "goes when the earlier ones are back, or went long enough ago",
        Guard::AllFailing => "goes when two complete LISTs have shown others that are well",
        Guard::LargeDrop => "goes when it is certain that this is meant",
    };
    format!("held by guard {guard} ({reason}): {until}{}", way_out(guard))
}

/// The command that lets it happen now.
fn way_out(guard: Guard) -> String {
    if !guard.can_be_overridden() {
        return String::new();
    }
    format!("; to let it happen now: tidegate override {guard} --for 10m --why TEXT")
}

fn out(node: &NodeStatus, input: &Outlook<'_>) -> String {
    let delay = human(input.policy.join_delay);
    match (node.rule, node.recheck_at) {
        (Rule::Joining, Some(at)) => {
            format!("becomes active {} from now if it stays Ready", human(elapsed(input.now, at)))
        }
        (Rule::Eligible, _) => "becomes active with the next commit".to_owned(),
        (Rule::NotReady, _) => format!("becomes active after being Ready for {delay}"),
        (Rule::Deleting, _) => "stays out: the Node is being deleted, which nothing cancels".to_owned(),
        _ => format!("becomes active when this no longer holds: {}", node.reason),
    }
}

fn draining(node: &NodeStatus, input: &Outlook<'_>) -> String {
    let Some(deadline) = node.deadline else { return "being removed".to_owned() };
    let left = human(elapsed(input.now, deadline));
    let cancel = match node.rule {
        Rule::Gone | Rule::Replaced | Rule::Deleting => "nothing cancels it".to_owned(),
        Rule::NotReady => "Ready=True cancels it".to_owned(),
        Rule::Cordoned => "an uncordon cancels it".to_owned(),
        _ => format!("cancelled when this no longer holds: {}", node.reason),
    };
    format!("removed at {deadline} (in {left}); {cancel}")
}

fn active(node: &NodeStatus, input: &Outlook<'_>) -> String {
    match (node.rule, node.recheck_at) {
        (Rule::Eligible, Some(at)) => {
            format!("drains {} from now if NetworkUnavailable stays True", human(elapsed(input.now, at)))
        }
        (Rule::Eligible, None) => "stays active while no other rule speaks against it".to_owned(),
        (Rule::NoAddress, _) => format!("keeps the address it has while this holds: {}", node.reason),
        _ => format!("stays active until the next commit decides: {}", node.reason),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_core::ids::{NodeName, NodeUid};
    use tidegate_core::time::after;

    use super::*;

    fn node(state: Phase, rule: Rule) -> NodeStatus {
        NodeStatus {
            name: NodeName::parse("w1").unwrap(),
            uid: NodeUid::parse("u1").unwrap(),
            addresses: Vec::new(),
            state,
            rule,
            reason: "taint x".into(),
            since: Timestamp::UNIX_EPOCH,
            deadline: None,
            recheck_at: None,
            held_by: None,
            listeners: Vec::new(),
        }
    }

    fn says(node: Option<&NodeStatus>) -> String {
        let policy = NodePolicy::default();
        let guard_reason = Some("no active node would be left");
        outlook(&Outlook { node, policy: &policy, guard_reason, now: Timestamp::UNIX_EPOCH })
    }

    #[test]
    fn it_says_when_and_what_cancels() {
        let at = |s| Some(after(Timestamp::UNIX_EPOCH, Duration::from_secs(s)));
        let joining = NodeStatus { recheck_at: at(4), ..node(Phase::Out, Rule::Joining) };
        assert_eq!(says(Some(&joining)), "becomes active 4s from now if it stays Ready");
        let drain = NodeStatus { deadline: at(20), ..node(Phase::Draining, Rule::NotReady) };
        assert_eq!(says(Some(&drain)), "removed at 1970-01-01T00:00:20Z (in 20s); Ready=True cancels it");
        let last = NodeStatus { held_by: Some(Guard::NeverEmpty), ..node(Phase::Active, Rule::NotReady) };
        assert_eq!(
            says(Some(&last)),
            "held by guard never-empty (no active node would be left): goes when another node becomes active"
        );
        assert_eq!(
            says(Some(&node(Phase::Out, Rule::Autoscaler))),
            "becomes active when this no longer holds: taint x"
        );
        assert!(says(None).starts_with("not in the cluster; "));
    }
}
