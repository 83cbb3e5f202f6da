//! The life of nodes, step by step: what is committed, what is held, and when time alone acts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use support::*;
use tidegate_core::eligibility::Rule;
use tidegate_core::guard::Guard;
use tidegate_core::log::Phase::{Active, Draining, Out};
use tidegate_core::membership::Member;
use tidegate_core::node::ConditionStatus::{False, True, Unknown};
use tidegate_core::node::{WEIGHT_ANNOTATION, ZONE_LABEL};
use tidegate_core::order::OrderKind;
use tidegate_core::plan::Plan;
use tidegate_core::policy::{EXCLUDE_LABEL, NotReady};

fn holds(plan: &Plan) -> Vec<String> {
    plan.holds.iter().map(|h| format!("{} {} {}", h.guard, h.node, h.rule)).collect()
}

fn three() -> World {
    World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2"), worker("w3", "10.0.0.3")])
}

#[test]
fn nodes_that_are_ready_when_first_seen_join_in_one_revision() {
    let world = three();
    assert_eq!(world.phases(&["w1", "w2", "w3"]), [Active; 3]);
    assert_eq!(world.log.position.revision.0, 1);
}

#[test]
fn a_new_node_joins_when_it_has_been_ready_for_the_join_delay() {
    let mut world = three();
    world.view.observe(with_ready(worker("w4", "10.0.0.4"), False, at(0)));
    world.step(at(0));
    assert_eq!(world.phase("w4"), Out);
    world.view.observe(with_ready(worker("w4", "10.0.0.4"), True, at(5)));
    let plan = world.step(at(5));
    assert_eq!((world.phase("w4"), plan.wake_at), (Out, Some(at(15))));
    world.step(at(14));
    assert_eq!(world.phase("w4"), Out);
    world.step(at(15));
    assert_eq!(world.phase("w4"), Active);
}

#[test]
fn a_clock_ahead_of_ours_does_not_keep_a_node_out_for_ever() {
    let mut world = three();
    // The edge clamps a transition in the future to the time of arrival, at each heartbeat anew.
    for second in 0..=10 {
        world.view.observe(with_ready(worker("w4", "10.0.0.4"), True, at(second)));
        world.step(at(second));
    }
    assert_eq!(world.phase("w4"), Active);
}

#[test]
fn not_ready_drains_and_ready_cancels_the_drain_at_once() {
    let mut world = three();
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(100)));
    let plan = world.step(at(100));
    assert_eq!((world.phase("w1"), plan.wake_at), (Draining, Some(at(130))));
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), True, at(120)));
    let plan = world.step(at(120));
    assert_eq!((world.phase("w1"), plan.wake_at), (Active, None));
}

#[test]
fn a_drain_ends_at_its_deadline_and_the_node_joins_again_like_a_new_one() {
    let mut world = three();
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(100)));
    world.step(at(100));
    world.step(at(129));
    assert_eq!(world.phase("w1"), Draining);
    world.step(at(130));
    assert_eq!(world.phase("w1"), Out);
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), True, at(140)));
    world.step(at(149));
    assert_eq!(world.phase("w1"), Out);
    world.step(at(150));
    assert_eq!(world.phase("w1"), Active);
}

#[test]
fn the_articles_literal_rule_is_a_switch() {
    let mut world = three();
    world.policy.not_ready = NotReady::Remove;
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), False, at(100)));
    world.step(at(100));
    assert_eq!(world.phase("w1"), Out);
}

#[test]
fn another_reason_for_the_same_drain_keeps_its_clock() {
    let mut world = three();
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(100)));
    world.step(at(100));
    let mut node = with_ready(worker("w1", "10.0.0.1"), Unknown, at(100));
    node.deleting = Some(at(110));
    world.view.observe(node);
    let plan = world.step(at(110));
    assert_eq!((plan.changes[0].rule, plan.wake_at), (Rule::Deleting, Some(at(130))));
}

#[test]
fn a_deleted_node_drains_only_after_a_get_has_confirmed_it() {
    let mut world = three();
    world.view.forget(&name("w1"), &uid("u-w1"));
    let plan = world.step(at(10));
    assert_eq!(plan.confirm, [(name("w1"), uid("u-w1"))]);
    assert_eq!(world.phase("w1"), Active);
    world.view.confirm_gone(&uid("u-w1"));
    let plan = world.step(at(11));
    assert_eq!((plan.changes[0].rule, world.phase("w1")), (Rule::Gone, Draining));
    world.step(at(41));
    assert_eq!(world.phase("w1"), Out);
}

#[test]
fn an_empty_list_takes_nobody_out() {
    let mut world = three();
    assert_eq!(world.view.replace(Vec::new()), 3);
    let plan = world.step(at(10));
    assert_eq!(plan.confirm.len(), 3);
    assert_eq!(world.log.membership.active(), 3);
}

#[test]
fn before_the_first_list_absence_means_nothing() {
    let mut world = World { log: three().log, ..World::default() };
    let plan = world.step_with(tidegate_core::guard::Freshness { list_age: None, ..FRESH }, at(1000));
    assert_eq!((plan.confirm, plan.changes), (vec![], vec![]));
}

#[test]
fn a_node_made_anew_under_its_name_replaces_the_old_one() {
    let mut world = three();
    let mut anew = with_ready(worker("w1", "10.0.0.1"), True, at(50));
    anew.uid = uid("u-w1-again");
    world.view.observe(anew);
    // The view may lag behind and show the node before this member: the seeds 81 and 382 of the simulation.
    let plan = world.step(at(50));
    assert_eq!((plan.changes, plan.confirm), (vec![], vec![(name("w1"), uid("u-w1"))]));
    world.view.confirm_gone(&uid("u-w1"));
    let plan = world.step(at(50));
    assert_eq!((plan.changes[0].rule, world.phase("w1")), (Rule::Replaced, Out));
    world.step(at(60));
    assert!(world.log.membership.get(&uid("u-w1-again")).unwrap().is_active());
}

#[test]
fn a_late_delete_event_of_the_old_node_does_not_touch_the_new_one() {
    let mut world = three();
    let mut anew = worker("w1", "10.0.0.1");
    anew.uid = uid("u-w1-again");
    world.view.observe(anew);
    world.view.forget(&name("w1"), &uid("u-w1"));
    world.step(at(50));
    assert!(world.log.membership.get(&uid("u-w1-again")).unwrap().is_active());
}

#[test]
fn out_of_service_is_removed_without_a_drain() {
    let mut world = three();
    let mut node = worker("w1", "10.0.0.1");
    node.taints.insert("node.kubernetes.io/out-of-service".into());
    world.view.observe(node);
    world.step(at(10));
    assert_eq!(world.phase("w1"), Out);
}

#[test]
fn a_member_that_loses_its_address_keeps_the_one_it_had() {
    let mut world = three();
    world.view.observe(tidegate_core::node::Node { addresses: vec![], ..worker("w1", "10.0.0.1") });
    let plan = world.step(at(10));
    assert_eq!((world.phase("w1"), plan.changes), (Active, vec![]));
    let judged = plan.judged.iter().find(|j| j.node == name("w1")).unwrap();
    assert_eq!((judged.verdict.rule, judged.addresses.as_slice()), (Rule::NoAddress, &[ip("10.0.0.1")][..]));
}

#[test]
fn of_two_nodes_with_one_address_the_member_keeps_it() {
    let mut world = three();
    world.view.observe(worker("a-thief", "10.0.0.1"));
    let plan = world.step(at(10));
    assert_eq!((world.phase("w1"), world.phase("a-thief")), (Active, Out));
    let judged = plan.judged.iter().find(|j| j.node == name("a-thief")).unwrap();
    assert_eq!(judged.verdict.reason, "address 10.0.0.1 belongs to node w1: two nodes cannot share one");
}

#[test]
fn a_dead_node_object_does_not_keep_its_address_from_the_machine_that_came_back_under_another_name() {
    let mut world = three();
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(10)));
    world.step(at(10));
    world.view.observe(worker("w1b", "10.0.0.1"));
    world.step(at(20));
    assert_eq!(world.phases(&["w1", "w1b"]), [Draining, Active]);
}

#[test]
fn a_changed_address_is_added_and_the_old_one_drained_in_one_revision() {
    let mut world = three();
    let before = world.log.position.revision;
    world.view.observe(worker("w1", "10.0.0.9"));
    let plan = world.step(at(10));
    let member = world.log.membership.get(&uid("u-w1")).unwrap().clone();
    assert_eq!(world.log.position.revision, before.next());
    assert_eq!(member.addresses, [ip("10.0.0.9")]);
    assert_eq!((member.retiring[0].address, plan.wake_at), (ip("10.0.0.1"), Some(at(40))));
    world.step(at(40));
    assert!(world.log.membership.get(&uid("u-w1")).unwrap().retiring.is_empty());
}

#[test]
fn two_nodes_can_swap_their_addresses() {
    let mut world = three();
    world.view.observe(worker("w1", "10.0.0.2"));
    world.step(at(10));
    assert_eq!(world.log.membership.get(&uid("u-w1")).unwrap().addresses, [ip("10.0.0.1")]);
    world.view.observe(worker("w2", "10.0.0.1"));
    world.step(at(11));
    let address = |node: &str| world.log.membership.get(&uid(node)).unwrap().addresses[0];
    assert_eq!((address("u-w1"), address("u-w2")), (ip("10.0.0.2"), ip("10.0.0.1")));
}

#[test]
fn a_clock_that_is_put_back_does_not_make_a_former_address_last_longer() {
    let mut world = three();
    world.view.observe(worker("w1", "10.0.0.9"));
    world.step(at(4_000));
    let plan = world.step(at(400));
    assert_eq!(plan.wake_at, Some(at(430)));
    assert_eq!(world.step(at(401)).changes, [], "once");
    world.step(at(430));
    assert!(world.log.membership.get(&uid("u-w1")).unwrap().retiring.is_empty());
}

#[test]
fn a_stale_view_holds_what_it_made_us_believe_and_nothing_else() {
    let mut world = three();
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(10)));
    let mut excluded = worker("w2", "10.0.0.2");
    excluded.labels.insert(EXCLUDE_LABEL.into(), String::new());
    world.view.observe(excluded);
    let plan = world.step_with(STALE, at(10));
    assert_eq!(holds(&plan), ["fresh w1 not-ready"]);
    assert_eq!(world.phases(&["w1", "w2"]), [Active, Draining]);
}

#[test]
fn who_takes_over_with_a_stale_view_believes_nothing_of_it() {
    let mut world = three();
    world.order(OrderKind::Drain, "w3", at(5));
    let mut excluded = worker("w1", "10.0.0.1");
    excluded.labels.insert(EXCLUDE_LABEL.into(), String::new());
    world.view.observe(excluded);
    let unseen = tidegate_core::guard::Freshness { vouched: false, ..STALE };
    let plan = world.step_with(unseen, at(10));
    assert_eq!(holds(&plan), ["fresh w1 excluded"]);
    assert_eq!(world.phases(&["w1", "w3"]), [Active, Draining], "an order is not observed");
    world.step_with(unseen, at(40));
    assert_eq!(world.phase("w3"), Out, "a drain that began ends");
    // One LIST later it is news, and counts even when the next ones fail.
    world.step_with(STALE, at(50));
    assert_eq!(world.phases(&["w1", "w2"]), [Draining, Active]);
}

#[test]
fn a_stale_view_brings_nobody_back_that_was_sent_away() {
    let mut world = three();
    let mut excluded = worker("w1", "10.0.0.1");
    excluded.labels.insert(EXCLUDE_LABEL.into(), String::new());
    world.view.observe(excluded);
    world.view.observe(with_ready(worker("w2", "10.0.0.2"), Unknown, at(10)));
    world.step(at(10));
    assert_eq!(world.phases(&["w1", "w2"]), [Draining, Draining]);

    // The next leader's view has missed all that, and cannot be made fresh.
    world.view.observe(worker("w1", "10.0.0.1"));
    world.view.observe(worker("w2", "10.0.0.2"));
    let plan = world.step_with(STALE, at(20));
    assert_eq!((world.phases(&["w1", "w2"]), holds(&plan)), (vec![Draining, Active], vec!["fresh w1 eligible".into()]));
    world.step_with(STALE, at(40));
    assert_eq!(world.phase("w1"), Draining, "what it believes is eligible does not leave either");
    world.step(at(60));
    assert_eq!(world.phase("w1"), Active);
}

#[test]
fn while_frozen_a_voluntary_drain_ends_and_an_involuntary_one_waits() {
    let mut world = three();
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(10)));
    let mut deleting = worker("w2", "10.0.0.2");
    deleting.deleting = Some(at(10));
    world.view.observe(deleting);
    world.step(at(10));
    let plan = world.step_with(STALE, at(40));
    assert_eq!(world.phases(&["w1", "w2"]), [Draining, Out]);
    assert_eq!((holds(&plan), plan.wake_at), (vec!["fresh w1 not-ready".to_owned()], None));
    world.step(at(41));
    assert_eq!(world.phase("w1"), Out);
}

#[test]
fn when_all_are_not_ready_all_stay() {
    let mut world = three();
    for (node, address) in [("w1", "10.0.0.1"), ("w2", "10.0.0.2"), ("w3", "10.0.0.3")] {
        world.view.observe(with_ready(worker(node, address), Unknown, at(10)));
    }
    let plan = world.step(at(10));
    assert_eq!(world.log.membership.active(), 3);
    assert!(plan.holds.iter().all(|h| h.guard == Guard::AllFailing) && plan.holds.len() == 3);
    world.view.observe(worker("w4", "10.0.0.4"));
    let plan = world.step(at(11));
    assert_eq!(world.log.membership.active(), 4);
    assert!(
        plan.holds.iter().all(|h| h.guard == Guard::AllFailing),
        "until two LISTs have shown somebody that is well"
    );
    for seconds in [12, 13] {
        world.suspicion.listed(at(seconds));
        world.step(at(seconds));
    }
    assert_eq!(world.phases(&["w1", "w2", "w3", "w4"]), [Draining, Active, Active, Active], "one in five minutes");
    world.step(at(312));
    world.step(at(313));
    assert_eq!(world.phases(&["w1", "w2", "w3", "w4"]), [Out, Draining, Active, Active], "half of them stay");
}

#[test]
fn what_was_asked_for_goes_before_what_was_observed_when_only_one_can_stay() {
    let mut world = World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]);
    let mut excluded = worker("w1", "10.0.0.1");
    excluded.labels.insert(EXCLUDE_LABEL.into(), "true".into());
    world.view.observe(excluded);
    world.view.observe(with_ready(worker("w2", "10.0.0.2"), False, at(10)));
    let plan = world.step(at(10));
    assert_eq!(world.phases(&["w1", "w2"]), [Draining, Active]);
    assert_eq!(holds(&plan), ["never-empty w2 not-ready"]);
}

#[test]
fn the_last_node_stays_even_when_it_is_deleted() {
    let mut world = World::serving(&[worker("w1", "10.0.0.1")]);
    world.view.forget(&name("w1"), &uid("u-w1"));
    world.view.confirm_gone(&uid("u-w1"));
    let plan = world.step(at(10));
    assert_eq!((world.phase("w1"), holds(&plan)), (Active, vec!["never-empty w1 gone".to_owned()]));
}

#[test]
fn a_heartbeat_is_not_news() {
    use tidegate_core::view::Observed;
    let mut world = three();
    assert_eq!(world.view.observe(worker("w1", "10.0.0.1")), Observed::Same);
    let later = with_ready(worker("w1", "10.0.0.1"), True, at(60));
    assert_eq!(world.view.observe(later), Observed::Same, "the same status, seen again by a clock ahead of ours");
}

#[test]
fn an_annotation_says_where_a_node_is_reached() {
    let mut world = three();
    let says = |world: &mut World, text: &str| {
        let mut node = worker("w1", "10.0.0.1");
        node.annotations.insert("tidegate.io/address".into(), text.into());
        world.view.observe(node);
    };
    says(&mut world, "192.168.7.1, 2001:db8::7");
    world.step(at(10));
    let address = |world: &World| world.log.membership.get(&uid("u-w1")).unwrap().addresses.clone();
    assert_eq!(address(&world), [ip("192.168.7.1")]);
    says(&mut world, "127.0.0.1, nonsense");
    let plan = world.step(at(20));
    assert_eq!(address(&world), [ip("192.168.7.1")], "it keeps what it had");
    let judged = plan.judged.iter().find(|j| j.node == name("w1")).unwrap();
    assert!(judged.verdict.reason.contains("annotation tidegate.io/address"), "{}", judged.verdict.reason);
}

#[test]
fn with_policy_probe_a_node_that_answers_is_served_whatever_its_kubelet_says() {
    let mut world = three();
    world.policy.not_ready = tidegate_core::policy::NotReady::Probe;
    world.view.observe(with_ready(worker("w1", "10.0.0.1"), Unknown, at(10)));
    world.answers.insert(ip("10.0.0.1"), true);
    world.step(at(10));
    assert_eq!(world.phase("w1"), Active);
    world.answers.insert(ip("10.0.0.1"), false);
    world.step(at(11));
    assert_eq!(world.phase("w1"), Draining);
    world.answers.insert(ip("10.0.0.1"), true);
    world.step(at(12));
    assert_eq!(world.phase("w1"), Active);
}

#[test]
fn another_weight_or_zone_is_a_change_of_its_own_and_keeps_the_member() {
    let mut world = three();
    let before = world.log.membership.get(&uid("u-w1")).unwrap().clone();
    let mut larger = worker("w1", "10.0.0.1");
    larger.annotations.insert(WEIGHT_ANNOTATION.into(), "3".into());
    larger.labels.insert(ZONE_LABEL.into(), "rack-a".into());
    world.view.observe(larger.clone());
    let plan = world.step(at(50));
    let expected = "Ready since 2027-01-15T05:30:00Z; weight 3 instead of 1; zone rack-a instead of none";
    assert_eq!(plan.changes[0].observation, expected);
    let after = world.log.membership.get(&uid("u-w1")).unwrap().clone();
    assert_eq!((after.weight.get(), after.zone.clone().unwrap().to_string()), (3, "rack-a".to_owned()));
    assert_eq!(Member { weight: before.weight, zone: before.zone.clone(), ..after }, before);
    assert_eq!(world.step(at(51)).changes, []);
}

#[test]
fn a_weight_that_is_none_counts_as_1_and_the_verdict_says_so() {
    let mut world = three();
    let mut node = worker("w1", "10.0.0.1");
    for value in ["abc", "0", "101", "", "+3", " 3", "1.5", "-1", "1000000000000000000000"] {
        node.annotations.insert(WEIGHT_ANNOTATION.into(), value.into());
        world.view.observe(node.clone());
        let plan = world.step(at(50));
        assert_eq!(plan.changes, [], "{value:?}");
        let verdict = &plan.judged.iter().find(|j| j.node.as_str() == "w1").unwrap().verdict;
        let expected =
            format!("; annotation tidegate.io/weight={value:?} is no whole number from 1 to 100 and counts as 1");
        assert!(verdict.reason.starts_with("Ready since") && verdict.reason.ends_with(&expected), "{}", verdict.reason);
    }
    for value in ["1", "100", "007"] {
        node.annotations.insert(WEIGHT_ANNOTATION.into(), value.into());
        world.view.observe(node.clone());
        let plan = world.step(at(50));
        assert_eq!(
            world.log.membership.get(&uid("u-w1")).unwrap().weight.get().to_string(),
            value.trim_start_matches('0')
        );
        assert!(plan.judged.iter().all(|j| !j.verdict.reason.contains("weight")), "{value}");
    }
}
