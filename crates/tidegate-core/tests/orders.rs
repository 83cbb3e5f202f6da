//! What operators order, and drains that end before their time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use support::*;
use tidegate_core::eligibility::Rule;
use tidegate_core::guard::Guard;
use tidegate_core::log::Phase::{Active, Draining, Out};
use tidegate_core::log::{LogState, Snapshot};
use tidegate_core::node::ConditionStatus::{True, Unknown};
use tidegate_core::node::Node;
use tidegate_core::order::{OrderChange, OrderKind, Orders};
use tidegate_core::policy::EXCLUDE_LABEL;

fn three() -> World {
    World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2"), worker("w3", "10.0.0.3")])
}

fn excluded() -> Node {
    let mut node = worker("w1", "10.0.0.1");
    node.labels.insert(EXCLUDE_LABEL.into(), String::new());
    node
}

#[test]
fn an_ordered_drain_takes_the_node_out_and_keeps_it_out() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(10));
    let plan = world.step(at(10));
    let reason = "drained by ann@ops at 2027-01-15T08:00:10Z: new disk";
    assert_eq!((plan.changes[0].rule, plan.changes[0].observation.as_str()), (Rule::Drained, reason));
    assert_eq!((world.phase("w1"), plan.wake_at), (Draining, Some(at(40))));
    world.step(at(40));
    assert_eq!(world.phase("w1"), Out);
    for later in [41, 1_000, 100_000] {
        assert_eq!(world.step(at(later)).changes, []);
    }
}

#[test]
fn undrain_cancels_a_drain_at_once() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(10));
    world.step(at(10));
    world.order(OrderKind::Undrain, "w1", at(20));
    let plan = world.step(at(20));
    assert_eq!((world.phase("w1"), plan.changes[0].from, plan.wake_at), (Active, Draining, None));
}

#[test]
fn after_undrain_the_rules_of_joining_decide() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(10));
    world.step(at(10));
    world.step(at(40));
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(50)));
    world.order(OrderKind::Undrain, "w1", at(60));
    world.step(at(60));
    assert_eq!(world.phase("w1"), Out, "it is not ready");
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), True, at(70)));
    assert_eq!((world.step(at(70)).wake_at, world.phase("w1")), (Some(at(80)), Out));
    world.step(at(80));
    assert_eq!(world.phase("w1"), Active);
}

#[test]
fn an_order_outlives_its_leader_in_the_log() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(10));
    world.step(at(10));
    let snapshot = serde_json::to_string(&world.log.to_snapshot(at(11))).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&snapshot).unwrap();
    assert_eq!(snapshot.state_hash(), world.log.state_hash());
    let mut next = World { log: LogState::from_snapshot(snapshot), ..World::default() };
    assert_eq!(next.log, world.log);
    next.view.replace(vec![worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2"), worker("w3", "10.0.0.3")]);
    assert_eq!(next.step(at(12)).wake_at, Some(at(40)), "the drain goes on where it was");
    next.step(at(40));
    assert_eq!((next.phase("w1"), next.step(at(41)).changes), (Out, vec![]));
}

#[test]
fn the_last_active_node_stays_whoever_orders_it_out() {
    let mut world = World::serving(&[worker("w1", "10.0.0.1")]);
    world.order(OrderKind::Drain, "w1", at(10));
    let plan = world.step(at(10));
    assert_eq!(
        (plan.holds[0].guard, plan.holds[0].rule, world.phase("w1")),
        (Guard::NeverEmpty, Rule::Drained, Active)
    );
    world.view.observe(worker("w2", "10.0.0.2"));
    let plan = world.step(at(11));
    assert_eq!(
        (plan.holds, world.phases(&["w1", "w2"])),
        (vec![], vec![Draining, Active]),
        "once another serves, it goes"
    );
}

#[test]
fn a_frozen_view_is_no_obstacle_to_an_order() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(10));
    let plan = world.step_with(STALE, at(10));
    assert_eq!((world.phase("w1"), plan.holds), (Draining, vec![]));
    world.step_with(STALE, at(40));
    assert_eq!(world.phase("w1"), Out);
}

#[test]
fn an_order_is_about_the_machine_and_not_about_its_name() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(10));
    world.step(at(10));
    world.view.observe(Node { uid: uid("u-again"), ..worker("w1", "10.0.0.1") });
    world.view.confirm_gone(&uid("u-w1"));
    world.step(at(20));
    let members = world.log.membership.members();
    assert!(members.get(&uid("u-w1")).is_none() && members.get(&uid("u-again")).unwrap().is_active());
}

#[test]
fn the_latest_order_counts() {
    let change = |kind, why: &str| {
        let (uid, node, by) = (uid("u-w1"), name("w1"), "ann@ops".to_owned());
        OrderChange { uid, node, kind, by, why: why.to_owned() }
    };
    let (first, second) = (change(OrderKind::Drain, "new disk"), change(OrderKind::Drain, ""));
    let orders = Orders::default().with(&[first.clone(), second.clone()], at(5));
    let order = orders.get(&uid("u-w1")).unwrap();
    assert_eq!((orders.iter().count(), order.why.as_str(), order.since), (1, "", at(5)));
    for end in [OrderKind::Undrain, OrderKind::Forget] {
        assert!(orders.with(&[change(end, "")], at(6)).is_empty());
        assert!(Orders::default().with(&[change(end, "")], at(6)).is_empty(), "of a node without an order");
    }
    let words = [first, second, change(OrderKind::Forget, "it is no more")].map(|change| change.to_string());
    let expected =
        ["drain of w1 by ann@ops: new disk", "drain of w1 by ann@ops", "forget of w1 by ann@ops: it is no more"];
    assert_eq!(words, expected);
}

#[test]
fn a_drain_that_somebody_wanted_ends_when_no_connection_is_left() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(10));
    world.step(at(10));
    world.idle.insert(uid("u-w1"));
    let plan = world.step(at(12));
    let reason = "drained by ann@ops at 2027-01-15T08:00:10Z: new disk; no connection was left";
    assert_eq!((world.phase("w1"), plan.changes[0].observation.as_str()), (Out, reason));
    assert_eq!(plan.wake_at, None);
}

#[test]
fn at_its_deadline_a_drain_ends_without_words_about_connections() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(10));
    world.step(at(10));
    world.idle.insert(uid("u-w1"));
    let plan = world.step(at(40));
    assert_eq!(plan.changes[0].observation, "drained by ann@ops at 2027-01-15T08:00:10Z: new disk");
}

#[test]
fn a_node_that_may_come_back_waits_for_its_deadline_however_idle() {
    let mut world = three();
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(10)));
    world.step(at(10));
    world.idle.insert(uid("u-w1"));
    assert_eq!((world.step(at(39)).changes, world.phase("w1")), (vec![], Draining));
    let plan = world.step(at(40));
    assert_eq!(world.phase("w1"), Out);
    assert!(!plan.changes[0].observation.contains("connection"), "{:?}", plan.changes[0]);
}

#[test]
fn a_drain_that_becomes_wanted_ends_early_too() {
    let mut world = three();
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(10)));
    world.step(at(10));
    world.idle.insert(uid("u-w1"));
    world.view.observe(excluded());
    let plan = world.step(at(11));
    assert_eq!((world.phase("w1"), plan.changes.last().unwrap().rule), (Out, Rule::Excluded));
}

#[test]
fn who_is_said_to_be_idle_but_serves_goes_on_serving() {
    let mut world = three();
    world.idle.insert(uid("u-w1"));
    assert_eq!((world.step(at(10)).changes, world.phase("w1")), (vec![], Active));
}

#[test]
fn an_idle_drain_ends_while_frozen_and_for_a_node_that_is_gone() {
    let mut world = three();
    world.view.observe(excluded());
    world.step(at(10));
    world.view.forget(&name("w1"), &uid("u-w1"));
    world.idle.insert(uid("u-w1"));
    world.step_with(STALE, at(11));
    assert_eq!(world.phase("w1"), Out);
}

#[test]
fn a_clock_that_is_put_back_does_not_make_a_drain_last_longer() {
    let mut world = three();
    world.order(OrderKind::Drain, "w1", at(4_000));
    world.step(at(4_000));
    let plan = world.step(at(400));
    assert_eq!((world.phase("w1"), plan.wake_at), (Draining, Some(at(430))));
    assert_eq!(world.step(at(401)).changes, [], "once");
    world.step(at(430));
    assert_eq!(world.phase("w1"), Out);
}

#[test]
fn a_leader_whose_clock_is_a_little_behind_ends_a_drain_no_later() {
    let mut world = three();
    world.view.observe(Node { deleting: Some(at(10)), ..worker("w1", "10.0.0.1") });
    world.step(at(10));
    assert_eq!(world.step(at(9)).wake_at, Some(at(39)));
    // Behind by less than the drain is old: nothing to put right.
    assert_eq!((world.step(at(20)).wake_at, world.step(at(15)).changes), (Some(at(39)), vec![]));
}
