//! Properties of whole histories: random observations, stale views and time, step by step.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::net::IpAddr;

use proptest::prelude::*;
use support::*;
use tidegate_core::desired::{DesiredState, Listener};
use tidegate_core::eligibility::{Class, Rule};
use tidegate_core::ids::{ClusterName, ListenerName};
use tidegate_core::log::{LogState, Phase};
use tidegate_core::node::{ConditionStatus, Node};
use tidegate_core::order::OrderKind;
use tidegate_core::position::Term;

#[derive(Clone, Debug)]
enum Event {
    Ready(u8, ConditionStatus),
    Excluded(u8, bool),
    Deleting(u8),
    Deleted(u8, bool),
    Address(u8, u8),
    Recreated(u8),
    EmptyList,
    Time(u8),
    ClockBack(u16),
    Stale(bool),
    Order(u8, OrderKind),
    Idle(u8, bool),
}

fn event() -> impl Strategy<Value = Event> {
    let node = 0..5_u8;
    let order = prop_oneof![3 => Just(OrderKind::Drain), 2 => Just(OrderKind::Undrain), 1 => Just(OrderKind::Forget)];
    let status = prop_oneof![Just(ConditionStatus::True), Just(ConditionStatus::False), Just(ConditionStatus::Unknown)];
    prop_oneof![
        4 => (node.clone(), status).prop_map(|(n, s)| Event::Ready(n, s)),
        2 => (node.clone(), any::<bool>()).prop_map(|(n, on)| Event::Excluded(n, on)),
        1 => node.clone().prop_map(Event::Deleting),
        2 => (node.clone(), any::<bool>()).prop_map(|(n, confirmed)| Event::Deleted(n, confirmed)),
        2 => (node.clone(), 0..7_u8).prop_map(|(n, a)| Event::Address(n, a)),
        1 => node.clone().prop_map(Event::Recreated),
        1 => Just(Event::EmptyList),
        4 => (0..60_u8).prop_map(Event::Time),
        1 => (0..5_000_u16).prop_map(Event::ClockBack),
        2 => any::<bool>().prop_map(Event::Stale),
        2 => (node.clone(), order).prop_map(|(n, kind)| Event::Order(n, kind)),
        1 => (node, any::<bool>()).prop_map(|(n, idle)| Event::Idle(n, idle)),
    ]
}

struct History {
    world: World,
    nodes: Vec<Node>,
    now: i64,
    stale: bool,
    incarnation: u32,
}

impl History {
    fn start() -> Self {
        let nodes: Vec<Node> = (0..5).map(|n| worker(&format!("w{n}"), &format!("10.0.0.{n}"))).collect();
        Self { world: World::serving(&nodes), nodes, now: 0, stale: false, incarnation: 0 }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Time(seconds) => self.now += i64::from(*seconds),
            Event::ClockBack(seconds) => self.now -= i64::from(*seconds),
            Event::Stale(stale) => self.stale = *stale,
            Event::Order(n, kind) => self.world.order(*kind, &format!("w{n}"), at(self.now)),
            Event::Idle(n, idle) => {
                let uid = uid(&format!("u-w{n}"));
                if *idle {
                    self.world.idle.insert(uid);
                } else {
                    self.world.idle.remove(&uid);
                }
            }
            Event::EmptyList => drop(self.world.view.replace(Vec::new())),
            Event::Deleted(n, confirmed) => {
                let node = &self.nodes[usize::from(*n)];
                self.world.view.forget(&node.name, &node.uid);
                if *confirmed {
                    self.world.view.confirm_gone(&node.uid);
                }
            }
            Event::Ready(n, status) => {
                let since = at(self.now);
                self.change(*n, |node| node.ready = Some(condition(*status, since)));
            }
            Event::Excluded(n, on) => self.change(*n, |node| {
                let label = tidegate_core::policy::EXCLUDE_LABEL.to_owned();
                if *on { drop(node.labels.insert(label, String::new())) } else { drop(node.labels.remove(&label)) }
            }),
            Event::Deleting(n) => {
                let since = at(self.now);
                self.change(*n, |node| node.deleting = Some(since));
            }
            Event::Address(n, a) => self.change(*n, |node| node.addresses[0].address = ip(&format!("10.0.0.{a}"))),
            Event::Recreated(n) => {
                self.incarnation += 1;
                let anew = uid(&format!("again-{}", self.incarnation));
                self.change(*n, |node| {
                    node.uid = anew;
                    node.deleting = None;
                });
            }
        }
    }

    fn change(&mut self, n: u8, change: impl FnOnce(&mut Node)) {
        let node = &mut self.nodes[usize::from(n)];
        change(node);
        self.world.view.observe(node.clone());
    }
}

fn listener() -> Listener {
    Listener::tcp(ListenerName::parse("http").unwrap(), "0.0.0.0:80".parse().unwrap(), 80)
}

fn check_step(before: &LogState, history: &mut History) {
    let freshness = if history.stale { STALE } else { FRESH };
    let plan = history.world.step_with(freshness, at(history.now));
    let log = &history.world.log;
    assert!(log.membership.active() > 0, "an empty set, after {plan:?}");
    for change in &plan.changes {
        let taken_out = change.from == Phase::Active && change.phase() != Phase::Active;
        let lost = taken_out || change.phase() == Phase::Out;
        if history.stale && change.rule.class() == Class::Involuntary {
            assert!(!lost, "a stale view took {change:?} out");
        }
        if change.rule == Rule::Gone {
            assert!(history.world.view.is_confirmed_gone(&change.uid) || change.from == Phase::Draining);
        }
        let ordered_out = history.world.log.orders.get(&change.uid).is_some();
        // A member that a guard keeps may still let go of a former address.
        let lets_go = change.from == Phase::Active && change.observation.starts_with("the drain of its former address");
        assert!(!ordered_out || lets_go || change.phase() != Phase::Active, "{change:?} is against an order");
        let early = change.observation.ends_with("no connection was left");
        assert!(!early || (history.world.idle.contains(&change.uid) && change.rule.class() == Class::Voluntary));
        assert!(!change.observation.is_empty());
    }
    let moved = log.position.revision > before.position.revision;
    assert_eq!(moved, !plan.changes.is_empty(), "a commit for changes, and none for nothing");
    check_desired(log);
}

fn check_desired(log: &LogState) {
    let cluster = ClusterName::parse("test").unwrap();
    let state = DesiredState::derive(cluster, log.position, &log.membership, &[listener()]);
    let pool = state.pool(&listener().name);
    let addresses: Vec<IpAddr> = pool.iter().map(|b| b.address).collect();
    let mut distinct = addresses.clone();
    distinct.dedup();
    assert_eq!(addresses, distinct, "an address twice in one pool");
    assert!(state.starved().is_empty());
    let mut active: Vec<IpAddr> =
        log.membership.members().values().filter(|m| m.is_active()).flat_map(|m| m.addresses.clone()).collect();
    active.sort_unstable();
    // A node that is gone for certain, but held by a guard, may share its address with its successor.
    active.dedup();
    let shown: Vec<IpAddr> = pool.iter().filter(|b| b.is_active()).map(|b| b.address).collect();
    assert_eq!(shown, active, "every active address, once");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12_000, ..ProptestConfig::default() })]

    /// About 10 steps a case: more than 100,000 guarded plans a run.
    #[test]
    fn whatever_is_observed_the_set_is_never_empty_and_a_stale_view_takes_nobody_out(
        events in prop::collection::vec(event(), 1..20)
    ) {
        let mut history = History::start();
        let mut entries = Vec::new();
        for event in &events {
            history.apply(event);
            let before = history.world.log.clone();
            check_step(&before, &mut history);
            entries.push((before, history.world.log.clone()));
        }
        for (before, after) in entries {
            prop_assert!(after.position >= before.position);
        }
    }
}

#[test]
fn a_log_that_was_tampered_with_is_not_believed() {
    use tidegate_core::log::ReplayError;
    let mut world = World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]);
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), ConditionStatus::False, at(5)));
    let plan = world.plan(FRESH, at(5));
    let entry = world.log.next_entry(Term(1), "test", at(5), plan.changes);
    let mut edited = entry.clone();
    edited.changes.clear();
    assert!(matches!(world.log.append(&edited), Err(ReplayError::HashMismatch { .. })));
    let mut late = entry.clone();
    late.revision = late.revision.next();
    assert!(matches!(world.log.append(&late), Err(ReplayError::Gap { .. })));
    let mut fenced = entry.clone();
    fenced.term = Term(0);
    assert!(matches!(world.log.append(&fenced), Err(ReplayError::TermWentBack { .. })));
    world.log.append(&entry).unwrap();
}
