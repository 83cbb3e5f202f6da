//! Every combination of what the table looks at, against an oracle written from the facts and not from the code.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::*;
use tidegate_core::eligibility::{Action, AddressProblem, Rule, Subject, evaluate};
use tidegate_core::log::Phase;
use tidegate_core::node::{ConditionStatus, Node};
use tidegate_core::order::Order;
use tidegate_core::policy::{NodePolicy, NotReady};
use tidegate_core::selector::Selector;

const NOW: i64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ready {
    Missing,
    Long,
    Young,
    False,
    Shutdown,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Network {
    Absent,
    Fine,
    TroubleForAMoment,
    Trouble,
}

#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "one switch for each observation")]
struct Case {
    out_of_service: bool,
    deleting: bool,
    exclude: Option<&'static str>,
    ignore_exclude: bool,
    autoscaler: bool,
    ready: Ready,
    ordered: bool,
    selection: Selection,
    cordon: Cordon,
    address: Address,
    uninitialized: bool,
    network: Network,
    phase: Phase,
    unready: Unready,
}

/// The policy for nodes that are not ready, and what probes say where it asks them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unready {
    Drain,
    Remove,
    ProbeUp,
    ProbeDown,
    ProbeUnasked,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Selection {
    DefaultWorker,
    DefaultControlPlane,
    SelectorMatches,
    SelectorDiffers,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cordon {
    No,
    Ignored,
    Drains,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Address {
    Good,
    Missing,
    Duplicate,
}

/// What should happen, in the words of the design's table.
fn oracle(c: &Case) -> (&'static str, &'static str) {
    let parse_false = matches!(c.exclude, Some("0" | "f" | "F" | "false" | "FALSE" | "False"));
    if c.out_of_service {
        ("out-of-service", "remove")
    } else if c.deleting {
        ("deleting", "drain 30")
    } else if c.exclude.is_some() && !parse_false && !c.ignore_exclude {
        ("excluded", "drain 30")
    } else if c.autoscaler {
        ("autoscaler", "drain 30")
    } else if c.ready == Ready::Shutdown {
        ("shutting-down", "drain 60")
    } else if c.ordered {
        ("drained", "drain 30")
    } else if matches!(c.selection, Selection::DefaultControlPlane | Selection::SelectorDiffers) {
        ("outside-selector", "drain 30")
    } else if c.cordon == Cordon::Drains {
        ("cordoned", "drain 30")
    } else if c.address != Address::Good {
        ("no-address", "wait")
    } else if c.phase == Phase::Out && (c.uninitialized || c.ready == Ready::Young) {
        ("joining", "wait")
    } else if c.network == Network::Trouble || (c.network == Network::TroubleForAMoment && c.phase == Phase::Out) {
        ("network-unavailable", "drain 30")
    } else if !matches!(c.ready, Ready::Long | Ready::Young) {
        let action = match (c.unready, c.phase) {
            (Unready::Remove, _) => "remove",
            (Unready::ProbeUp, Phase::Out) => "wait",
            (Unready::ProbeUp, _) => "serve",
            _ => "drain 30",
        };
        ("not-ready", action)
    } else {
        ("eligible", "serve")
    }
}

fn node(c: &Case) -> Node {
    let mut node = worker("w1", "10.0.0.1");
    node.ready = match c.ready {
        Ready::Missing => None,
        Ready::Long => Some(condition(ConditionStatus::True, at(NOW - 10))),
        Ready::Young => Some(condition(ConditionStatus::True, at(NOW - 9))),
        Ready::False => Some(condition(ConditionStatus::False, at(NOW - 5))),
        Ready::Unknown => Some(condition(ConditionStatus::Unknown, at(NOW - 5))),
        Ready::Shutdown => {
            let mut shutdown = condition(ConditionStatus::False, at(NOW - 5));
            shutdown.message = "[container runtime not ready, node is shutting down]".into();
            Some(shutdown)
        }
    };
    let network = |status, age| Some(condition(status, at(NOW - age)));
    node.network_unavailable = match c.network {
        Network::Absent => None,
        Network::Fine => network(ConditionStatus::False, 100),
        Network::TroubleForAMoment => network(ConditionStatus::True, 9),
        Network::Trouble => network(ConditionStatus::True, 10),
    };
    for (set, taint) in [
        (c.out_of_service, "node.cloudprovider.kubernetes.io/shutdown"),
        (c.autoscaler, "ToBeDeletedByClusterAutoscaler"),
        (c.uninitialized, "node.cloudprovider.kubernetes.io/uninitialized"),
        (true, "node.kubernetes.io/memory-pressure"),
    ] {
        if set {
            node.taints.insert(taint.into());
        }
    }
    node.deleting = c.deleting.then(|| at(NOW - 1));
    node.unschedulable = c.cordon != Cordon::No;
    if let Some(value) = c.exclude {
        node.labels.insert("node.kubernetes.io/exclude-from-external-load-balancers".into(), value.into());
    }
    if c.selection == Selection::DefaultControlPlane {
        node.labels.insert("node-role.kubernetes.io/control-plane".into(), String::new());
    }
    if c.selection == Selection::SelectorMatches {
        node.labels.insert("pool".into(), "edge".into());
    }
    node
}

fn policy(c: &Case) -> NodePolicy {
    let selects = matches!(c.selection, Selection::SelectorMatches | Selection::SelectorDiffers);
    NodePolicy {
        selector: selects.then(|| Selector::parse("pool=edge").unwrap()),
        not_ready: match c.unready {
            Unready::Drain => NotReady::Drain,
            Unready::Remove => NotReady::Remove,
            Unready::ProbeUp | Unready::ProbeDown | Unready::ProbeUnasked => NotReady::Probe,
        },
        drain_on_cordon: c.cordon == Cordon::Drains,
        ignore_exclude_label: c.ignore_exclude,
        ..NodePolicy::default()
    }
}

fn check(c: &Case) {
    let (node, policy) = (node(c), policy(c));
    let good = [ip("10.0.0.1")];
    let missing = AddressProblem::Missing { kind: "InternalIP", families: "ipv4".into() };
    let duplicate = AddressProblem::Duplicate { address: ip("10.0.0.1"), owner: name("w2") };
    let addresses = match c.address {
        Address::Good => Ok(&good[..]),
        Address::Missing => Err(&missing),
        Address::Duplicate => Err(&duplicate),
    };
    let wanted_out = Order { node: name("w1"), by: "ann@ops".into(), why: "new disk".into(), since: at(NOW - 60) };
    let order = c.ordered.then_some(&wanted_out);
    let answers = match c.unready {
        Unready::ProbeUnasked => None,
        Unready::ProbeDown => Some(false),
        // Elsewhere an answer changes nothing.
        _ => Some(true),
    };
    let verdict =
        evaluate(&Subject { node: &node, phase: c.phase, policy: &policy, answers, order, addresses, now: at(NOW) });
    let action = match verdict.action {
        Action::Serve => "serve".to_owned(),
        Action::Wait => "wait".to_owned(),
        Action::Remove => "remove".to_owned(),
        Action::Drain(timeout) => format!("drain {}", timeout.as_secs()),
    };
    assert_eq!((verdict.rule.name(), action.as_str()), oracle(c), "{c:?}");
    assert!(!verdict.reason.is_empty(), "{c:?} must be explained");
    let later = verdict.recheck_at.is_none_or(|recheck| recheck > at(NOW));
    assert!(later, "{c:?} asks to be looked at again in the past");
}

macro_rules! each {
    ($($variable:ident in $values:expr),+ => $body:expr) => { each!(@ [$($variable in $values,)+] $body) };
    (@ [$variable:ident in $values:expr, $($rest:tt)*] $body:expr) => {
        for $variable in $values { each!(@ [$($rest)*] $body) }
    };
    (@ [] $body:expr) => { $body };
}

#[test]
fn the_table_agrees_with_the_facts_in_every_combination() {
    const BOTH: [bool; 2] = [false, true];
    let mut cases = 0_u32;
    each!(
        out_of_service in BOTH, deleting in BOTH, ordered in BOTH, autoscaler in BOTH, ignore_exclude in BOTH, uninitialized in BOTH,
        exclude in [None, Some(""), Some("true"), Some("false"), Some("junk")],
        ready in [Ready::Missing, Ready::Long, Ready::Young, Ready::False, Ready::Shutdown, Ready::Unknown],
        selection in [Selection::DefaultWorker, Selection::DefaultControlPlane, Selection::SelectorMatches, Selection::SelectorDiffers],
        cordon in [Cordon::No, Cordon::Ignored, Cordon::Drains],
        address in [Address::Good, Address::Missing, Address::Duplicate],
        network in [Network::Absent, Network::Fine, Network::TroubleForAMoment, Network::Trouble],
        phase in [Phase::Out, Phase::Active, Phase::Draining],
        unready in [Unready::Drain, Unready::Remove, Unready::ProbeUp, Unready::ProbeDown, Unready::ProbeUnasked]
        => {
            check(&Case {
                out_of_service, deleting, exclude, ignore_exclude, autoscaler, ready, ordered, selection, cordon,
                address, uninitialized, network, phase, unready,
            });
            cases += 1;
        }
    );
    assert!(cases >= 1 << 14, "{cases} cases");
}

#[test]
fn the_exclude_label_is_read_as_go_reads_a_bool() {
    let base = Case {
        out_of_service: false,
        deleting: false,
        exclude: None,
        ignore_exclude: false,
        autoscaler: false,
        ready: Ready::Long,
        ordered: false,
        selection: Selection::DefaultWorker,
        cordon: Cordon::No,
        address: Address::Good,
        uninitialized: false,
        network: Network::Absent,
        phase: Phase::Active,
        unready: Unready::Drain,
    };
    for value in ["0", "f", "F", "false", "FALSE", "False", "1", "t", "true", "no", "", "fALSE", " false"] {
        check(&Case { exclude: Some(value), ..base });
    }
}

#[test]
fn an_annotation_excludes_from_our_load_balancers_alone() {
    let verdict = |value: &str| {
        let mut node = worker("w1", "10.0.0.1");
        node.annotations.insert("tidegate.io/exclude".into(), value.into());
        let (policy, addresses) = (NodePolicy::default(), [ip("10.0.0.1")]);
        let (phase, now) = (Phase::Active, at(NOW));
        let subject =
            Subject { node: &node, phase, policy: &policy, answers: None, order: None, addresses: Ok(&addresses), now };
        evaluate(&subject).rule.name()
    };
    assert_eq!(["true", "", "false", "0"].map(verdict), ["excluded", "excluded", "eligible", "eligible"]);
}

#[test]
fn taints_of_the_operators_choice_drain_like_the_autoscalers() {
    let mut node = worker("w1", "10.0.0.1");
    node.taints.insert("example.com/maintenance".into());
    let addresses = [ip("10.0.0.1")];
    let mut policy = NodePolicy::default();
    let rule = |policy: &NodePolicy| {
        let subject = Subject {
            node: &node,
            phase: Phase::Active,
            policy,
            answers: None,
            order: None,
            addresses: Ok(&addresses),
            now: at(NOW),
        };
        evaluate(&subject).rule
    };
    assert_eq!(rule(&policy), Rule::Eligible);
    policy.drain_taints.insert("example.com/maintenance".into());
    assert_eq!(rule(&policy), Rule::Autoscaler);
}

#[test]
fn who_drained_a_node_when_and_why_is_in_the_verdict() {
    let (node, policy, addresses) = (worker("w1", "10.0.0.1"), NodePolicy::default(), [ip("10.0.0.1")]);
    for (why, reason) in [
        ("new disk", "drained by ann@ops at 2027-01-15T08:15:40Z: new disk"),
        ("", "drained by ann@ops at 2027-01-15T08:15:40Z"),
    ] {
        let order = Order { node: name("w1"), by: "ann@ops".into(), why: why.into(), since: at(NOW - 60) };
        let (phase, order, addresses, now) = (Phase::Active, Some(&order), Ok(&addresses[..]), at(NOW));
        let verdict = evaluate(&Subject { node: &node, phase, policy: &policy, answers: None, order, addresses, now });
        assert_eq!((verdict.rule, verdict.reason.as_str()), (Rule::Drained, reason));
    }
}

#[test]
fn a_member_whose_network_fails_is_looked_at_again_when_the_grace_ends() {
    let mut node = worker("w1", "10.0.0.1");
    node.network_unavailable = Some(condition(ConditionStatus::True, at(NOW)));
    let addresses = [ip("10.0.0.1")];
    let policy = NodePolicy::default();
    let subject = Subject {
        answers: None,
        node: &node,
        phase: Phase::Active,
        policy: &policy,
        order: None,
        addresses: Ok(&addresses),
        now: at(NOW),
    };
    let verdict = evaluate(&subject);
    assert_eq!((verdict.rule, verdict.recheck_at), (Rule::Eligible, Some(at(NOW + 10))));
    let later = Subject { now: support::at(NOW) + Duration::from_secs(10), ..subject };
    assert_eq!(evaluate(&later).rule, Rule::NetworkUnavailable);
}
