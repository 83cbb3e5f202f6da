//! The finalizer `tidegate.io/drain`: it keeps a Node object until no load balancer sends it traffic.
//!
//! Correctness never rests on it (a node that is gone drains all the same): it only buys time, and never more than its
//! deadline. One cannot be added once `metadata.deletionTimestamp` is set.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::eligibility::Rule;
use crate::ids::{NodeName, NodeUid};
use crate::membership::Membership;
use crate::mutant::{Mutant, planted};
use crate::node::Node;
use crate::plan::Judged;
use crate::time::after;

/// Its name on the Node.
pub const FINALIZER: &str = "tidegate.io/drain";
/// Annotation on a Node: with the value `false`, that Node gets no finalizer.
pub const FINALIZER_ANNOTATION: &str = "tidegate.io/finalizer";
/// The longest deadline that can be configured.
pub const LONGEST_DEADLINE: Duration = Duration::from_secs(300);

/// `nodes.finalizer`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalizerPolicy {
    /// Whether nodes get one; when not, those that are found are taken off.
    pub enabled: bool,
    /// From the deletion to the release at the latest.
    pub deadline: Duration,
}

impl Default for FinalizerPolicy {
    fn default() -> Self {
        Self { enabled: true, deadline: Duration::from_secs(120) }
    }
}

/// Why a finalizer is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Release {
    /// Every load balancer has let go of the node.
    Drained,
    /// The deadline has passed: somebody has to be told.
    Deadline,
    /// The node is not ours, or no longer: switched off, opted out, outside the selector.
    Unmanaged,
}

impl Release {
    /// The label of `tidegate_finalizer_released_total{outcome}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::Deadline => "deadline",
            Self::Unmanaged => "unmanaged",
        }
    }
}

/// What to do on one Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinalizerStep {
    /// Put it on.
    Add,
    /// Take it off.
    Release(Release),
}

/// One Node to patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalizerTask {
    /// The node.
    pub node: NodeName,
    /// Its uid, which the patch tests.
    pub uid: NodeUid,
    /// What to do.
    pub step: FinalizerStep,
}

/// A Node whose deletion waits for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldNode {
    /// The node.
    pub node: NodeName,
    /// Its uid.
    pub uid: NodeUid,
    /// When it is released at the latest.
    pub deadline: Timestamp,
}

/// Everything the decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct FinalizerInput<'a> {
    /// The observed nodes with their verdicts.
    pub nodes: &'a [(&'a Node, &'a Judged)],
    /// What is recorded.
    pub membership: &'a Membership,
    /// Nodes that every load balancer has let go of ([`departure`](crate::departure)).
    pub acknowledged: &'a BTreeSet<NodeUid>,
    /// Whether `membership` is all that was ever recorded. While the outcome of a write is not known, the node may be a
    /// member again, and nobody can have let go of what is not known.
    pub settled: bool,
    /// The switches.
    pub policy: FinalizerPolicy,
    /// The time.
    pub now: Timestamp,
}

/// What to do on the Nodes, and which deletions wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalizerPlan {
    /// Nodes to patch.
    pub tasks: Vec<FinalizerTask>,
    /// Deletions that wait for us.
    pub held: Vec<HeldNode>,
    /// When time alone makes another plan necessary.
    pub wake_at: Option<Timestamp>,
    /// Whether a word from a load balancer may make another plan necessary.
    pub waits: bool,
}

/// Decides for every observed node.
pub fn plan_finalizers(input: &FinalizerInput<'_>) -> FinalizerPlan {
    let mut plan = FinalizerPlan::default();
    for (node, judged) in input.nodes {
        let step = step(input, node, judged);
        plan.waits |= step.is_none() && node.finalizer && (node.deleting.is_some() || is_foreign(judged));
        if let Some(step) = step {
            plan.tasks.push(FinalizerTask { node: node.name.clone(), uid: node.uid.clone(), step });
        }
        if let Some(deadline) = deadline(input, node) {
            plan.held.push(HeldNode { node: node.name.clone(), uid: node.uid.clone(), deadline });
        }
    }
    plan.wake_at = plan.held.iter().map(|h| h.deadline).filter(|at| *at > input.now).min();
    plan
}

/// Until when this node's deletion may wait for us; none when it does not.
fn deadline(input: &FinalizerInput<'_>, node: &Node) -> Option<Timestamp> {
    let since = node.deleting.filter(|_| node.finalizer)?;
    Some(after(since, input.policy.deadline.min(LONGEST_DEADLINE)))
}

fn step(input: &FinalizerInput<'_>, node: &Node, judged: &Judged) -> Option<FinalizerStep> {
    let member = input.membership.get(&node.uid);
    let wanted = input.policy.enabled && !opted_out(node);
    let acknowledged = input.settled && input.acknowledged.contains(&node.uid);
    if !node.finalizer {
        return (wanted && member.is_some() && node.deleting.is_none()).then_some(FinalizerStep::Add);
    }
    let release = if !wanted {
        Release::Unmanaged
    } else if let Some(deadline) = deadline(input, node) {
        let let_go = member.is_none() && (acknowledged || planted(Mutant::FinalizerEarly));
        if let_go {
            Release::Drained
        } else if deadline <= input.now && !planted(Mutant::FinalizerNever) {
            Release::Deadline
        } else {
            return None;
        }
    } else if member.is_none() && acknowledged && is_foreign(judged) {
        // Not before: its deletion may be under way, and this process not know of it yet.
        Release::Unmanaged
    } else {
        return None;
    };
    Some(FinalizerStep::Release(release))
}

/// Whether somebody has taken the node out of our hands.
fn is_foreign(judged: &Judged) -> bool {
    matches!(judged.verdict.rule, Rule::OutsideSelector | Rule::Excluded)
}

fn opted_out(node: &Node) -> bool {
    node.annotations.get(FINALIZER_ANNOTATION).is_some_and(|value| value == "false")
}
