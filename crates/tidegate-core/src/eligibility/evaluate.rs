//! The table itself, for one node.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::{Action, AddressProblem, Rule, Verdict};
use crate::log::Phase;
use crate::node::{Condition, ConditionStatus, EXCLUDE_ANNOTATION, Node, WEIGHT_ANNOTATION, Weight};
use crate::order::Order;
use crate::policy::{CONTROL_PLANE_LABELS, EXCLUDE_LABEL, NodePolicy, NotReady};
use crate::time::{after, elapsed, human};

const OUT_OF_SERVICE_TAINTS: [&str; 2] =
    ["node.kubernetes.io/out-of-service", "node.cloudprovider.kubernetes.io/shutdown"];
const UNINITIALIZED_TAINT: &str = "node.cloudprovider.kubernetes.io/uninitialized";
const AUTOSCALER_TAINT: &str = "ToBeDeletedByClusterAutoscaler";
/// How long a kubelet that shuts down gracefully may take (kubelet default: 30 s in most distributions).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long NetworkUnavailable must hold: CNI plugins set it for a moment at their own restart.
const NETWORK_GRACE: Duration = Duration::from_secs(10);

/// One node, and all that the table asks about it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What was observed.
    pub node: &'a Node,
    /// Where the node stands: rule `joining` is only for those that are out.
    pub phase: Phase,
    /// The switches.
    pub policy: &'a NodePolicy,
    /// Whether it answers the probes of any load balancer; absent: nobody asks.
    pub answers: Option<bool>,
    /// What an operator wants of it.
    pub order: Option<&'a Order>,
    /// The addresses it would be reached at, or why there are none.
    pub addresses: Result<&'a [IpAddr], &'a AddressProblem>,
    /// The time.
    pub now: Timestamp,
}

type Found = (Action, String, Option<Timestamp>);
type Test = fn(&Subject<'_>) -> Option<Found>;

/// The verdict on a node that exists. Rules `gone` and `replaced` are about nodes that do not: see [`gone`].
pub fn evaluate(subject: &Subject<'_>) -> Verdict {
    let table: [(Rule, Test); 12] = [
        (Rule::OutOfService, out_of_service),
        (Rule::Deleting, deleting),
        (Rule::Excluded, excluded),
        (Rule::Autoscaler, autoscaler),
        (Rule::ShuttingDown, shutting_down),
        (Rule::Drained, drained),
        (Rule::OutsideSelector, outside_selector),
        (Rule::Cordoned, cordoned),
        (Rule::NoAddress, no_address),
        (Rule::Joining, joining),
        (Rule::NetworkUnavailable, network_unavailable),
        (Rule::NotReady, not_ready),
    ];
    let matched = table.into_iter().find_map(|(rule, test)| test(subject).map(|found| (rule, found)));
    let (rule, (action, reason, recheck_at)) =
        matched.unwrap_or_else(|| (Rule::Eligible, (Action::Serve, ready_since(subject), network_recheck(subject))));
    Verdict { rule, action, reason, recheck_at }
}

/// The verdict on a member whose Node object is gone for certain.
pub fn gone(policy: &NodePolicy) -> Verdict {
    // Deleting the object does not stop the machine: its connections get the time of a drain.
    let reason = "the Node object no longer exists (LIST and GET agree)".to_owned();
    Verdict { rule: Rule::Gone, action: Action::Drain(policy.drain_timeout), reason, recheck_at: None }
}

fn drain(subject: &Subject<'_>, reason: String) -> Found {
    (Action::Drain(subject.policy.drain_timeout), reason, None)
}

fn out_of_service(subject: &Subject<'_>) -> Option<Found> {
    let taint = OUT_OF_SERVICE_TAINTS.into_iter().find(|t| subject.node.taints.contains(*t))?;
    Some((Action::Remove, format!("taint {taint}"), None))
}

fn deleting(subject: &Subject<'_>) -> Option<Found> {
    let since = subject.node.deleting?;
    Some(drain(subject, format!("deletionTimestamp is {since}")))
}

fn excluded(subject: &Subject<'_>) -> Option<Found> {
    if let Some(value) = subject.node.annotations.get(EXCLUDE_ANNOTATION).filter(|value| !is_false(value)) {
        return Some(drain(subject, format!("annotation {EXCLUDE_ANNOTATION}={value:?}")));
    }
    let value = subject.node.labels.get(EXCLUDE_LABEL)?;
    if is_false(value) || subject.policy.ignore_exclude_label {
        return None;
    }
    Some(drain(subject, format!("label {EXCLUDE_LABEL}={value:?}")))
}

/// By Go's strconv.ParseBool; since Kubernetes 1.34 only a value that parses as false includes.
fn is_false(value: &str) -> bool {
    ["0", "f", "F", "false", "FALSE", "False"].contains(&value)
}

fn autoscaler(subject: &Subject<'_>) -> Option<Found> {
    let announces = |t: &&String| *t == AUTOSCALER_TAINT || subject.policy.drain_taints.contains(*t);
    let taint = subject.node.taints.iter().find(announces)?;
    Some(drain(subject, format!("taint {taint}")))
}

fn shutting_down(subject: &Subject<'_>) -> Option<Found> {
    let ready = subject.node.ready.as_ref()?;
    let says_so = ready.status == ConditionStatus::False
        && ready.reason == "KubeletNotReady"
        && ready.message.contains("node is shutting down");
    says_so.then(|| (Action::Drain(SHUTDOWN_TIMEOUT), condition_text("Ready", ready), None))
}

fn drained(subject: &Subject<'_>) -> Option<Found> {
    let order = subject.order?;
    let why = if order.why.is_empty() { String::new() } else { format!(": {}", order.why) };
    Some(drain(subject, format!("drained by {} at {}{why}", order.by, order.since)))
}

fn outside_selector(subject: &Subject<'_>) -> Option<Found> {
    let labels = &subject.node.labels;
    let reason = match &subject.policy.selector {
        Some(selector) if selector.matches(labels) => return None,
        Some(selector) => format!("labels do not match nodes.selector {selector}"),
        None => {
            let label = CONTROL_PLANE_LABELS.into_iter().find(|l| labels.contains_key(*l))?;
            format!("label {label} (nodes.selector is not set, which leaves control-plane nodes out)")
        }
    };
    Some(drain(subject, reason))
}

fn cordoned(subject: &Subject<'_>) -> Option<Found> {
    if !(subject.policy.drain_on_cordon && subject.node.unschedulable) {
        return None;
    }
    Some(drain(subject, "spec.unschedulable is set, and nodes.drainOnCordon is on".to_owned()))
}

fn no_address(subject: &Subject<'_>) -> Option<Found> {
    let problem = subject.addresses.err()?;
    Some((Action::Wait, problem.to_string(), None))
}

fn joining(subject: &Subject<'_>) -> Option<Found> {
    if subject.phase != Phase::Out {
        return None;
    }
    if subject.node.taints.contains(UNINITIALIZED_TAINT) {
        return Some((Action::Wait, format!("taint {UNINITIALIZED_TAINT}"), None));
    }
    let ready = subject.node.ready.as_ref().filter(|_| subject.node.is_ready())?;
    let delay = subject.policy.join_delay;
    let age = elapsed(ready.since, subject.now);
    if age >= delay {
        return None;
    }
    let reason = format!("Ready for {}, joins after {}", human(age), human(delay));
    Some((Action::Wait, reason, Some(after(ready.since, delay))))
}

/// NetworkUnavailable=True, and for how long.
fn network_trouble<'a>(subject: &Subject<'a>) -> Option<(&'a Condition, Duration)> {
    let condition = subject.node.network_unavailable.as_ref()?;
    (condition.status == ConditionStatus::True).then(|| (condition, elapsed(condition.since, subject.now)))
}

fn network_unavailable(subject: &Subject<'_>) -> Option<Found> {
    let (condition, age) = network_trouble(subject)?;
    // A node that is out has nothing to lose by waiting until its network works.
    if age < NETWORK_GRACE && subject.phase != Phase::Out {
        return None;
    }
    Some(drain(subject, condition_text("NetworkUnavailable", condition)))
}

/// When a serving node's network trouble will have lasted long enough to matter.
fn network_recheck(subject: &Subject<'_>) -> Option<Timestamp> {
    network_trouble(subject).map(|(condition, _)| after(condition.since, NETWORK_GRACE))
}

fn not_ready(subject: &Subject<'_>) -> Option<Found> {
    if subject.node.is_ready() {
        return None;
    }
    let reason = match &subject.node.ready {
        Some(condition) => condition_text("Ready", condition),
        None => "condition Ready is missing: no kubelet has reported yet".to_owned(),
    };
    let drain = Action::Drain(subject.policy.drain_timeout);
    let (action, reason) = match (subject.policy.not_ready, subject.answers) {
        (NotReady::Remove, _) => (Action::Remove, reason),
        (NotReady::Probe, Some(true)) => {
            let reason = format!("{reason}; it answers the load balancers' probes (nodes.notReady: probe)");
            // Served on, but not begun with.
            (if subject.phase == Phase::Out { Action::Wait } else { Action::Serve }, reason)
        }
        (NotReady::Probe, Some(false)) => (drain, format!("{reason}; and it answers no probe")),
        (NotReady::Probe, None) => (drain, format!("{reason}; and no load balancer probes it")),
        (NotReady::Drain, _) => (drain, reason),
    };
    Some((action, reason, None))
}

fn ready_since(subject: &Subject<'_>) -> String {
    let since = match &subject.node.ready {
        Some(ready) => format!("Ready since {}", ready.since),
        None => "Ready".to_owned(),
    };
    match subject.node.weight() {
        Ok(_) => since,
        Err(value) => {
            let most = Weight::MOST;
            format!(
                "{since}; annotation {WEIGHT_ANNOTATION}={value:?} is no whole number from 1 to {most} and counts as 1"
            )
        }
    }
}

fn condition_text(name: &str, condition: &Condition) -> String {
    let Condition { status, reason, message, since } = condition;
    let message = message.trim_end_matches('.');
    let detail = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("{name}={} since {since}, reason {reason}{detail}", status.as_str())
}
