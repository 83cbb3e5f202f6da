//! Guard *all-failing* comes too late for the first: nodes that fail together are reported one after the other, and whoever
//! is reported first goes while the others still seem well. Once all seem to fail, those who went are taken back.

use std::collections::BTreeSet;

use super::{Draft, Judged, PlanInput};
use crate::eligibility::{Action, Class};
use crate::ids::NodeUid;
use crate::log::{Change, Phase};
use crate::node::Node;

/// Cancels the drains that began for what now seems to befall everyone; nothing else happens to these nodes in this step.
/// Who is out already stays out: a drain takes longer than a cluster needs to notice that all kubelets are silent.
pub(super) fn put_in(input: &PlanInput<'_>, judged: &[Judged], changes: &mut Vec<Change>) {
    let back: Vec<Change> =
        input.view.nodes().zip(judged).filter_map(|(node, judged)| recalled(input, node, judged)).collect();
    let uids: BTreeSet<&NodeUid> = back.iter().map(|change| &change.uid).collect();
    changes.retain(|change| !uids.contains(&change.uid));
    changes.extend(back);
}

fn recalled(input: &PlanInput<'_>, node: &Node, judged: &Judged) -> Option<Change> {
    let (uid, verdict) = (&node.uid, &judged.verdict);
    let member = input.membership.get(uid)?;
    // One that was sent away, as by its own shutdown, is not in `removals`, though its kubelet is silent now too.
    let went = Phase::of(Some(member)) == Phase::Draining && input.removals.contains(uid);
    let observed = matches!(verdict.action, Action::Drain(_)) && verdict.rule.class() == Class::Involuntary;
    if !went || !observed {
        return None;
    }
    let draft = Draft { input, node: &node.name, uid, verdict };
    Some(Change {
        uid: uid.clone(),
        node: node.name.clone(),
        from: Phase::Draining,
        to: Some(draft.serving(node, &judged.addresses, Some(member))),
        rule: verdict.rule,
        observation: format!("all seem to fail at once, so its drain is cancelled; {}", verdict.reason),
    })
}
