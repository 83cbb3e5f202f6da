//! Many nodes at once: what guards G2 to G5 let happen, and what an operator may let through.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::*;
use tidegate_core::eligibility::{Class, Rule};
use tidegate_core::guard::Guard;
use tidegate_core::log::Phase;
use tidegate_core::node::ConditionStatus::{False, Unknown};
use tidegate_core::order::OrderKind;
use tidegate_core::plan::Plan;

fn workers(count: u8) -> World {
    let nodes: Vec<_> = (0..count).map(|n| worker(&format!("w{n}"), &format!("10.0.0.{n}"))).collect();
    World::serving(&nodes)
}

fn fail(world: &mut World, nodes: impl IntoIterator<Item = u8>, seconds: i64) {
    for n in nodes {
        let node = worker(&format!("w{n}"), &format!("10.0.0.{n}"));
        world.view.observe(with_ready(node, Unknown, at(seconds)));
    }
}

fn recover(world: &mut World, nodes: impl IntoIterator<Item = u8>) {
    for n in nodes {
        world.view.observe(worker(&format!("w{n}"), &format!("10.0.0.{n}")));
    }
}

fn held(plan: &Plan) -> BTreeMap<Guard, usize> {
    let mut held = BTreeMap::new();
    for hold in &plan.holds {
        *held.entry(hold.guard).or_default() += 1;
    }
    held
}

#[test]
fn a_tenth_goes_at_once_half_does_not_and_all_do_not_at_all() {
    let case = |failing: u8| {
        let mut world = workers(100);
        fail(&mut world, 0..failing, 10);
        let plan = world.step(at(10));
        (100 - world.log.membership.active(), held(&plan))
    };
    assert_eq!(case(10), (10, BTreeMap::new()));
    assert_eq!(case(50), (20, [(Guard::Velocity, 30)].into()));
    assert_eq!(case(99), (20, [(Guard::Velocity, 79)].into()));
    assert_eq!(case(100), (0, [(Guard::AllFailing, 100)].into()));
}

/// A lifecycle controller reports a failure of all one node after the other: guards that look at what has come so far let
/// the first ones go.
#[test]
fn who_went_before_all_seemed_to_fail_is_taken_back() {
    let mut world = workers(10);
    for n in 0..10_u8 {
        fail(&mut world, [n], 10 + i64::from(n));
        world.step(at(10 + i64::from(n)));
        let active = if n == 9 { 10 } else { 9 - usize::from(n.min(1)) };
        assert_eq!(world.log.membership.active(), active, "when {} have failed", n + 1);
    }
    assert_eq!(held(&world.step(at(20))), [(Guard::AllFailing, 10)].into());
    // They had gone, and are back: nothing of it counts against the next who fails.
    recover(&mut world, 0..10);
    for seconds in [30, 35] {
        world.suspicion.listed(at(seconds));
        world.step(at(seconds));
    }
    fail(&mut world, 3..5, 40);
    assert_eq!(held(&world.step(at(40))), BTreeMap::new());
}

#[test]
fn who_was_sent_away_is_not_taken_back_when_all_seem_to_fail() {
    let mut world = workers(4);
    let mut leaving = worker("w0", "10.0.0.0");
    leaving.ready = Some(condition(False, at(10)));
    leaving.ready.as_mut().unwrap().message = "node is shutting down".into();
    world.view.observe(leaving);
    world.step(at(10));
    // The machine is off, so that its kubelet is silent; then all others seem to fail.
    fail(&mut world, [0], 20);
    world.step(at(20));
    assert_eq!(world.log.membership.get(&uid("u-w0")).unwrap().rule, Rule::NotReady);
    fail(&mut world, 1..4, 30);
    assert_eq!(held(&world.step(at(30))), [(Guard::AllFailing, 3)].into());
    assert_eq!(world.phases(&["w0", "w1"]), [Phase::Draining, Phase::Active]);
}

#[test]
fn who_is_out_already_is_not_taken_back_when_all_seem_to_fail() {
    let mut world = workers(4);
    fail(&mut world, [0], 10);
    world.step(at(10));
    world.step(at(40));
    assert_eq!(world.phase("w0"), Phase::Out);
    fail(&mut world, 1..4, 50);
    assert_eq!(held(&world.step(at(50))), [(Guard::AllFailing, 3)].into());
    assert_eq!(world.phase("w0"), Phase::Out);
    let all = lets_all_fail_be_believed();
    assert_eq!(all.phase("w0"), Phase::Draining, "whoever lets them go means all of them");
}

fn lets_all_fail_be_believed() -> World {
    let mut world = workers(4);
    fail(&mut world, [0], 10);
    world.step(at(10));
    lets_through(&mut world, Guard::AllFailing, 15, 60);
    fail(&mut world, 1..4, 20);
    world.step(at(20));
    world
}

#[test]
fn for_half_an_hour_half_stay() {
    let mut world = workers(10);
    fail(&mut world, 0..9, 10);
    for seconds in (10..1_800).step_by(30) {
        world.step(at(seconds));
        assert!(world.log.membership.active() >= 5, "at {seconds} s");
    }
    assert_eq!(world.log.membership.active(), 5);
}

#[test]
fn a_guard_that_is_overridden_lets_through_until_it_holds_again() {
    let mut world = workers(10);
    fail(&mut world, 0..4, 10);
    assert_eq!(held(&world.step(at(10))), [(Guard::Velocity, 2)].into());
    lets_through(&mut world, Guard::Velocity, 20, 600);
    let plan = world.step(at(20));
    assert_eq!((held(&plan), plan.wake_at), (BTreeMap::new(), Some(at(40))), "the drains end before the override");
    assert_eq!(world.log.membership.active(), 6);
    fail(&mut world, 4..6, 700);
    assert_eq!(held(&world.step(at(700))), [(Guard::Half, 1)].into());
    let expired = workers(10);
    let mut expired = World { log: world.log.clone(), ..expired };
    fail(&mut expired, 0..10, 700);
    assert!(expired.log.overrides.standing(at(700)).is_empty());
}

#[test]
fn an_override_is_forgotten_by_the_first_entry_after_its_end() {
    let mut world = workers(3);
    lets_through(&mut world, Guard::Fresh, 10, 60);
    assert_eq!(world.log.overrides.iter().count(), 1);
    lets_through(&mut world, Guard::Half, 80, 0);
    assert!(world.log.overrides.is_empty());
}

#[test]
fn a_former_address_ends_on_time_though_its_node_is_held() {
    let mut world = workers(3);
    world.view.observe(worker("w1", "10.0.9.9"));
    world.step(at(10));
    for n in [0, 2] {
        fail(&mut world, [n], 11);
    }
    world.view.observe(with_ready(worker("w1", "10.0.9.9"), Unknown, at(11)));
    let plan = world.step(at(11));
    assert_eq!(held(&plan), [(Guard::AllFailing, 3)].into());
    let retiring = |world: &World| world.log.membership.get(&uid("u-w1")).unwrap().retiring.len();
    assert_eq!((retiring(&world), plan.wake_at), (1, Some(at(40))));
    world.step(at(40));
    assert_eq!(retiring(&world), 0);
}

#[test]
fn a_node_that_is_held_moves_with_its_address_which_may_be_anothers_by_now() {
    let mut world = workers(2);
    world.view.observe(with_ready(worker("w0", "10.0.0.1"), Unknown, at(10)));
    world.view.observe(with_ready(worker("w1", "10.0.0.0"), Unknown, at(10)));
    let plan = world.step(at(10));
    assert_eq!(held(&plan), [(Guard::AllFailing, 2)].into());
    let member = |name: &str| world.log.membership.get(&uid(name)).unwrap();
    assert_eq!((&member("u-w0").addresses, &member("u-w1").addresses), (&vec![ip("10.0.0.1")], &vec![ip("10.0.0.0")]));
    assert_eq!((member("u-w0").rule, member("u-w0").retiring.len()), (Rule::Eligible, 1));
    assert!(world.plan(FRESH, at(11)).changes.is_empty());
}

#[test]
fn a_node_that_an_operator_drained_is_served_at_no_new_address_while_it_is_held() {
    let mut world = workers(1);
    world.order(OrderKind::Drain, "w0", at(10));
    world.view.observe(worker("w0", "10.0.0.6"));
    let plan = world.step(at(11));
    assert_eq!(held(&plan), [(Guard::NeverEmpty, 1)].into());
    assert_eq!(plan.changes, [], "found by random histories of tests/guards.rs");
}

#[test]
fn who_is_back_may_go_again() {
    let mut world = workers(3);
    for round in 0..20_i64 {
        let seconds = 10 + round * 20;
        fail(&mut world, [1], seconds);
        world.step(at(seconds));
        assert_eq!(world.phase("w1"), Phase::Draining, "round {round}");
        recover(&mut world, [1]);
        world.step(at(seconds + 10));
        assert_eq!(world.phase("w1"), Phase::Active, "round {round}");
    }
}

#[test]
fn a_large_drop_that_is_wanted_happens_after_a_second_look() {
    let mut world = workers(5);
    let delete = |world: &mut World| {
        for n in 0..4 {
            let mut node = worker(&format!("w{n}"), &format!("10.0.0.{n}"));
            node.deleting = Some(at(10));
            world.view.observe(node);
        }
    };
    delete(&mut world);
    let plan = world.step(at(10));
    assert_eq!((held(&plan), plan.signs.large_drop.len()), ([(Guard::LargeDrop, 4)].into(), 4));
    world.suspicion.listed(at(12));
    assert_eq!(held(&world.step(at(12))), [(Guard::LargeDrop, 4)].into(), "too soon to say the same again");
    world.suspicion.listed(at(15));
    assert_eq!(held(&world.step(at(15))), BTreeMap::new());
    assert_eq!(world.log.membership.active(), 1);
}

#[test]
fn a_drop_that_ends_before_the_second_look_was_none() {
    let mut world = workers(4);
    for n in 0..4 {
        let mut node = worker(&format!("w{n}"), &format!("10.0.0.{n}"));
        node.labels.insert(tidegate_core::policy::EXCLUDE_LABEL.into(), String::new());
        world.view.observe(node);
    }
    assert_eq!(held(&world.step(at(10))), [(Guard::LargeDrop, 4)].into());
    recover(&mut world, 0..4);
    world.suspicion.listed(at(16));
    assert_eq!(held(&world.step(at(16))), BTreeMap::new());
    assert_eq!(world.log.membership.active(), 4);
}

#[test]
fn a_selector_that_matches_nothing_takes_nobody_out_until_somebody_says_so() {
    let mut world = workers(4);
    world.policy.selector = Some(tidegate_core::selector::Selector::parse("role=typo").unwrap());
    for seconds in [10, 20, 600] {
        world.suspicion.listed(at(seconds));
        let plan = world.step(at(seconds));
        assert_eq!(held(&plan), [(Guard::LargeDrop, 4)].into());
        assert!(plan.holds[0].reason.contains("nodes.selector"), "{}", plan.holds[0].reason);
    }
    lets_through(&mut world, Guard::LargeDrop, 700, 60);
    assert_eq!(held(&world.step(at(700))), [(Guard::NeverEmpty, 4)].into(), "even then, somebody serves");
}

#[test]
fn an_api_server_that_forgot_its_nodes_is_not_believed() {
    let mut world = workers(4);
    let nodes: Vec<_> = world.view.nodes().map(|n| (n.name.clone(), n.uid.clone())).collect();
    world.view.replace(Vec::new());
    for (_, uid) in &nodes {
        world.view.confirm_gone(uid);
    }
    for seconds in [10, 20, 600] {
        world.suspicion.listed(at(seconds));
        assert_eq!(held(&world.step(at(seconds))), [(Guard::LargeDrop, 4)].into());
    }
    assert_eq!(world.log.membership.active(), 4);
}

#[test]
fn what_operators_ask_for_needs_no_second_look() {
    let mut world = workers(3);
    for node in ["w0", "w1"] {
        world.order(tidegate_core::order::OrderKind::Drain, node, at(5));
    }
    assert_eq!(held(&world.step(at(10))), BTreeMap::new());
    assert_eq!(world.log.membership.active(), 1);
}

/// One step of a random story.
#[derive(Clone, Debug)]
struct Step {
    failing: Vec<u8>,
    well: Vec<u8>,
    deleted: Option<u8>,
    seconds: u16,
    listed: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let nodes = || prop::collection::vec(0..12_u8, 0..12);
    (nodes(), nodes(), prop::option::weighted(0.1, 0..12_u8), 0..200_u16, any::<bool>())
        .prop_map(|(failing, well, deleted, seconds, listed)| Step { failing, well, deleted, seconds, listed })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12_000, ..ProptestConfig::default() })]

    /// About 10 steps a case: more than 100,000 guarded plans a run.
    #[test]
    fn involuntary_removals_leave_half_and_never_hurry(story in prop::collection::vec(step(), 1..20)) {
        let mut world = workers(12);
        let mut now = 0_i64;
        // Who went involuntarily and is not back, and when: told by the changes alone.
        let mut out: BTreeMap<String, i64> = BTreeMap::new();
        for step in story {
            now += i64::from(step.seconds);
            for n in &step.failing {
                let node = world.view.get(&name(&format!("w{n}"))).unwrap().clone();
                world.view.observe(with_ready(node, False, at(now)));
            }
            for n in &step.well {
                let node = world.view.get(&name(&format!("w{n}"))).unwrap().clone();
                world.view.observe(with_ready(node, tidegate_core::node::ConditionStatus::True, at(now - 100)));
            }
            if let Some(n) = step.deleted {
                let mut node = world.view.get(&name(&format!("w{n}"))).unwrap().clone();
                node.deleting = Some(at(now));
                world.view.observe(node);
            }
            if step.listed {
                world.suspicion.listed(at(now));
            }
            let before = world.log.membership.active();
            let plan = world.step(at(now));
            let involuntary = |c: &&tidegate_core::log::Change| c.rule.class() == Class::Involuntary && c.from == Phase::Active && c.phase() != Phase::Active;
            let went: Vec<String> = plan.changes.iter().filter(involuntary).map(|c| c.node.to_string()).collect();
            for change in &plan.changes {
                if change.phase() == Phase::Active || change.rule.class() == Class::Voluntary {
                    out.remove(&change.node.to_string());
                }
            }
            out.retain(|_, since| now - *since < 1_800);
            let sent_away = plan.changes.iter().filter(|c| c.from == Phase::Active && c.phase() != Phase::Active && c.rule.class() == Class::Voluntary).count();
            let joined = plan.changes.iter().filter(|c| c.from != Phase::Active && c.phase() == Phase::Active).count();
            let base = before + joined - sent_away + out.len();
            let recent = out.values().filter(|since| now - **since < 300).count();
            if !went.is_empty() {
                prop_assert!(out.len() + went.len() <= base / 2, "{} and {} of {base}", out.len(), went.len());
                prop_assert!(recent + went.len() <= (base / 5).max(1), "{recent} and {} of {base} in 5 min", went.len());
            }
            prop_assert!(world.log.membership.active() > 0);
            for node in went {
                out.insert(node, now);
            }
            prop_assert!(plan.holds.iter().all(|hold| hold.rule != Rule::Eligible && !hold.reason.is_empty()));
        }
    }
}
