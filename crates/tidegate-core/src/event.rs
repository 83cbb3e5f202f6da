//! Kubernetes Events on Nodes: what a person sees with `kubectl describe node`.

use crate::eligibility::{Class, Rule};
use crate::finalizer::Release;
use crate::guard::Hold;
use crate::ids::{NodeName, NodeUid};
use crate::log::{Change, LogEntry, Phase};

/// `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// One Event, before it has a name and a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node that it is about.
    pub node: NodeName,
    /// Its uid.
    pub uid: NodeUid,
    /// `type`
    pub severity: Severity,
    /// `reason`, CamelCase.
    pub reason: &'static str,
    /// `action`, CamelCase.
    pub action: &'static str,
    /// `note`, for people; at most [`LONGEST_NOTE`] bytes.
    pub note: String,
}

/// What the API server takes as a note. A kubelet's message, or an operator's reason, may be longer.
pub const LONGEST_NOTE: usize = 1024;

/// The Events of a commit: one for each node whose phase changed, or which begins or ends to carry a listener.
pub fn events_of(entry: &LogEntry) -> Vec<NodeEvent> {
    let is_news = |change: &&Change| change.from != change.phase() || change.rule.is_of_listener();
    entry.changes.iter().filter(is_news).map(of_change).collect()
}

fn of_change(change: &Change) -> NodeEvent {
    let (reason, action, what) = match change.phase() {
        Phase::Active if change.from == Phase::Active && change.rule == Rule::Carries => {
            ("CarriesListener", "Add", "receives traffic of a listener again")
        }
        Phase::Active if change.from == Phase::Active => {
            ("LeavesListener", "Drain", "takes no new connections of a listener")
        }
        Phase::Active => ("Active", "Add", "receives traffic"),
        Phase::Draining => ("Draining", "Drain", "takes no new connections"),
        Phase::Out => ("Removed", "Remove", "is taken out of every load balancer"),
    };
    let expected = change.rule.class() == Class::Voluntary || change.rule.class() == Class::Neutral;
    let severity = if expected { Severity::Normal } else { Severity::Warning };
    let note = bounded(format!("{what} (rule {}): {}", change.rule, change.observation));
    NodeEvent { node: change.node.clone(), uid: change.uid.clone(), severity, reason, action, note }
}

/// The Event of a finalizer that was taken off at its deadline; the other releases are no news.
pub fn event_of_release(node: &NodeName, uid: &NodeUid, release: Release, waits_for: &str) -> Option<NodeEvent> {
    (release == Release::Deadline).then(|| NodeEvent {
        node: node.clone(),
        uid: uid.clone(),
        severity: Severity::Warning,
        reason: "DrainDeadlineExceeded",
        action: "Release",
        note: bounded(format!(
            "the finalizer was taken off at its deadline, before the node was out of every load balancer: {waits_for}"
        )),
    })
}

/// The Event of a change that a guard holds back.
pub fn event_of_hold(hold: &Hold) -> NodeEvent {
    let Hold { guard, uid, node, rule, reason, listener } = hold;
    let behind = listener.as_ref().map(|listener| format!(" behind listener {listener}")).unwrap_or_default();
    NodeEvent {
        node: node.clone(),
        uid: uid.clone(),
        severity: Severity::Warning,
        reason: "HeldByGuard",
        action: "Keep",
        note: bounded(format!("guard {guard} keeps it as it is{behind}, though rule {rule} says otherwise: {reason}")),
    }
}

fn bounded(mut note: String) -> String {
    const MORE: &str = "...";
    if note.len() > LONGEST_NOTE {
        note.truncate(note.floor_char_boundary(LONGEST_NOTE - MORE.len()));
        note.push_str(MORE);
    }
    note
}
