//! Which members carry which listener, and what the guards make of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use support::*;
use tidegate_core::carriage::{Apart, Demand};
use tidegate_core::desired::{DesiredState, Listener};
use tidegate_core::eligibility::Rule;
use tidegate_core::follow::{Follow, FollowView, Instance, InstanceState, Target};
use tidegate_core::guard::Guard;
use tidegate_core::ids::{ClusterName, ListenerName};
use tidegate_core::log::Phase;
use tidegate_core::plan::Plan;
use tidegate_core::position::Position;
use tidegate_core::selector::Selector;

use InstanceState::{Ending, NotReady, Ready};

fn http() -> ListenerName {
    ListenerName::parse("http").unwrap()
}

fn ingress() -> Follow {
    Follow { namespace: "ingress".into(), target: Target::Pods(Selector::parse("app=ingress").unwrap()) }
}

fn demand() -> Demand {
    Demand { listener: http(), allow_empty: false, nodes: None, follow: Some(ingress()) }
}

fn pod(n: u8, state: InstanceState) -> (String, Vec<Instance>) {
    let name = format!("ingress/p{n}");
    (name.clone(), vec![Instance { name, node: support::name(&format!("w{n}")), state, since: None }])
}

/// `count` nodes, all members, each with a Ready pod, and a listener that follows these pods.
fn followed(count: u8) -> World {
    let nodes: Vec<_> = (1..=count).map(|n| worker(&format!("w{n}"), &format!("10.0.0.{n}"))).collect();
    let mut world = World::default();
    world.policy.demands = vec![demand()];
    world.view.replace(nodes);
    let mut view = FollowView::default();
    view.replace((1..=count).map(|n| pod(n, Ready)).collect());
    world.follows.insert(ingress(), view);
    world.step(at(0));
    world
}

fn pods(world: &mut World) -> &mut FollowView {
    world.follows.get_mut(&ingress()).unwrap()
}

fn set(world: &mut World, n: u8, state: InstanceState) {
    let (object, instances) = pod(n, state);
    pods(world).observe(object, instances);
}

fn apart<'a>(world: &'a World, node: &str) -> Option<&'a Apart> {
    world.log.membership.get(&uid(&format!("u-{node}"))).unwrap().apart.get(&http())
}

fn state(world: &World) -> DesiredState {
    let listener = |name: &str, port| {
        Listener::tcp(ListenerName::parse(name).unwrap(), SocketAddr::from(([0, 0, 0, 0], port)), port)
    };
    let cluster = ClusterName::parse("test").unwrap();
    DesiredState::derive(
        cluster,
        Position::default(),
        &world.log.membership,
        &[listener("http", 80), listener("tls", 443)],
    )
}

/// Who takes new connections of the listener.
fn carriers(world: &World, listener: &str) -> Vec<String> {
    let state = state(world);
    let pool = state.pool(&ListenerName::parse(listener).unwrap());
    pool.iter().filter(|b| b.is_active()).map(|b| b.node.to_string()).collect()
}

fn guards(plan: &Plan) -> BTreeSet<Guard> {
    plan.holds.iter().map(|hold| hold.guard).collect()
}

#[test]
fn a_pod_that_is_ended_takes_its_node_out_of_its_listener_alone_and_its_successor_brings_it_back() {
    let mut world = followed(3);
    assert_eq!(carriers(&world, "http"), ["w1", "w2", "w3"]);
    set(&mut world, 2, Ending);
    let plan = world.step(at(10));
    let [change] = plan.changes.as_slice() else { panic!("one change: {plan:#?}") };
    assert_eq!((change.from, change.phase(), change.rule), (Phase::Active, Phase::Active, Rule::PodEnding));
    assert_eq!(change.observation, "listener http: pod ingress/p2 is being ended");
    assert_eq!(plan.wake_at, Some(at(40)));
    assert_eq!(carriers(&world, "http"), ["w1", "w3"]);
    assert_eq!(carriers(&world, "tls"), ["w1", "w2", "w3"], "the other listener asks nothing");
    assert_eq!(state(&world).pool(&http()).len(), 3, "its connections live on");

    world.step(at(40));
    assert_eq!(state(&world).pool(&http()).len(), 2, "until the drain ends");
    pods(&mut world).forget("ingress/p2");
    assert!(world.step(at(41)).changes.is_empty(), "that it is gone now is no news");
    set(&mut world, 2, Ready);
    let plan = world.step(at(45));
    assert_eq!(plan.changes[0].rule, Rule::Carries);
    assert_eq!(carriers(&world, "http"), ["w1", "w2", "w3"]);
    assert_eq!(apart(&world, "w2"), None);
}

#[test]
fn a_pod_that_is_back_within_the_drain_ends_the_drain() {
    let mut world = followed(2);
    set(&mut world, 1, Ending);
    world.step(at(10));
    assert!(apart(&world, "w1").unwrap().deadline.is_some());
    set(&mut world, 1, Ready);
    world.step(at(15));
    assert_eq!(carriers(&world, "http"), ["w1", "w2"]);
    assert_eq!(world.plan(FRESH, at(60)).changes, [], "nothing of it is left");
}

#[test]
fn who_joins_without_a_pod_carries_everything_else() {
    let mut world = followed(1);
    world.view.observe(worker("w2", "10.0.0.2"));
    world.step(at(10));
    assert_eq!(carriers(&world, "http"), ["w1"]);
    assert_eq!(carriers(&world, "tls"), ["w1", "w2"]);
    assert_eq!(apart(&world, "w2").map(|apart| (apart.rule, apart.deadline)), Some((Rule::NoPod, None)));
}

#[test]
fn before_the_pods_are_known_members_stay_and_who_is_new_waits() {
    let mut world = World::serving(&[worker("w1", "10.0.0.1")]);
    world.policy.demands = vec![demand()];
    world.follows.insert(ingress(), FollowView::default());
    world.view.observe(worker("w2", "10.0.0.2"));
    world.step(at(10));
    assert_eq!(carriers(&world, "http"), ["w1"]);
    assert!(apart(&world, "w2").unwrap().reason.contains("not listed yet"));
    // They are listed: what is new carries it, who has none leaves.
    pods(&mut world).replace([pod(2, Ready)].into());
    world.step(at(11));
    assert_eq!(carriers(&world, "http"), ["w2"]);
}

#[test]
fn an_ingress_that_is_ended_everywhere_keeps_its_traffic() {
    let mut world = followed(3);
    (1..=3).for_each(|n| set(&mut world, n, Ending));
    let plan = world.step(at(10));
    assert_eq!(guards(&plan), [Guard::NeverEmpty].into());
    assert!(plan.holds.iter().all(|hold| hold.listener == Some(http())));
    assert_eq!(carriers(&world, "http").len(), 3);
    // One of the successors is Ready: it takes over.
    set(&mut world, 1, Ready);
    world.step(at(12));
    assert_eq!(carriers(&world, "http"), ["w1"]);

    let mut world = followed(3);
    world.policy.demands[0].allow_empty = true;
    (1..=3).for_each(|n| set(&mut world, n, Ending));
    world.step(at(10));
    assert_eq!(carriers(&world, "http"), [""; 0], "unless the listener may be empty");
}

#[test]
fn a_selector_with_a_typo_takes_nobody_out_until_an_operator_says_so() {
    let mut world = followed(4);
    pods(&mut world).replace(BTreeMap::new());
    let plan = world.step(at(10));
    assert_eq!(guards(&plan), [Guard::LargeDrop].into());
    assert!(plan.holds[0].reason.contains("none of pods app=ingress in namespace ingress is on this node"));
    assert_eq!(carriers(&world, "http").len(), 4);

    lets_through(&mut world, Guard::LargeDrop, 11, 589);
    let plan = world.step(at(12));
    assert_eq!(guards(&plan), [Guard::NeverEmpty].into(), "but never all of them");
    set(&mut world, 3, Ready);
    world.step(at(13));
    assert_eq!(carriers(&world, "http"), ["w3"]);
}

#[test]
fn unready_pods_leave_a_few_at_a_time_and_not_when_all_are() {
    let mut world = followed(10);
    (1..=3).for_each(|n| set(&mut world, n, NotReady));
    let plan = world.step(at(10));
    assert_eq!(guards(&plan), [Guard::Velocity].into());
    assert_eq!(carriers(&world, "http").len(), 8, "a fifth in five minutes");
    world.step(at(311));
    assert_eq!(carriers(&world, "http").len(), 7);

    (1..=10).for_each(|n| set(&mut world, n, NotReady));
    let plan = world.step(at(700));
    assert_eq!(guards(&plan), [Guard::AllFailing].into());
    assert_eq!(carriers(&world, "http").len(), 7);
}

#[test]
fn who_left_before_all_seemed_to_fail_carries_it_again_unless_its_drain_has_ended() {
    let mut world = followed(10);
    (1..=2).for_each(|n| set(&mut world, n, NotReady));
    set(&mut world, 3, Ending);
    world.step(at(10));
    assert_eq!(carriers(&world, "http").len(), 8, "w2 is held: a fifth of nine is one");
    (4..=10).for_each(|n| set(&mut world, n, NotReady));
    let plan = world.step(at(15));
    assert_eq!(guards(&plan), [Guard::AllFailing].into());
    let [change] = plan.changes.as_slice() else { panic!("one change: {plan:#?}") };
    let why = "listener http: all seem to fail at once, so its drain is cancelled; pod ingress/p1 is not Ready";
    assert_eq!((change.node.as_str(), change.rule, change.observation.as_str()), ("w1", Rule::PodNotReady, why));
    assert_eq!(carriers(&world, "http").len(), 9, "all but the one whose pod is being ended");
    assert!(world.step(at(16)).changes.is_empty());

    let mut world = followed(10);
    (1..=2).for_each(|n| set(&mut world, n, NotReady));
    world.step(at(10));
    world.step(at(40));
    (3..=10).for_each(|n| set(&mut world, n, NotReady));
    world.step(at(50));
    assert_eq!(carriers(&world, "http").len(), 8, "they may have been dead for long");
}

#[test]
fn a_view_that_may_be_wrong_takes_nobody_out() {
    let mut world = followed(3);
    pods(&mut world).doubt(Some("the last LIST is 2m old".into()));
    set(&mut world, 1, Ending);
    let plan = world.step(at(10));
    assert_eq!(
        plan.holds.iter().map(|h| (h.guard, h.reason.as_str())).collect::<Vec<_>>(),
        [(Guard::Fresh, "the last LIST is 2m old")]
    );
    pods(&mut world).doubt(None);
    world.step(at(11));
    assert_eq!(carriers(&world, "http"), ["w2", "w3"]);
}

#[test]
fn a_listener_has_nodes_of_its_own() {
    let labelled = |n: u8, pool: &str| {
        let mut node = worker(&format!("w{n}"), &format!("10.0.0.{n}"));
        node.labels.insert("pool".into(), pool.into());
        node
    };
    let mut world = World::default();
    let nodes = Some(Selector::parse("pool=edge").unwrap());
    world.policy.demands = vec![Demand { listener: http(), allow_empty: false, nodes, follow: None }];
    world.view.replace(vec![labelled(1, "edge"), labelled(2, "edge"), labelled(3, "edge"), labelled(4, "core")]);
    world.step(at(0));
    assert_eq!(carriers(&world, "http"), ["w1", "w2", "w3"]);
    assert_eq!(carriers(&world, "tls").len(), 4);
    world.view.observe(labelled(1, "core"));
    world.step(at(10));
    assert_eq!(carriers(&world, "http"), ["w2", "w3"]);
    assert_eq!(apart(&world, "w1").unwrap().rule, Rule::OutsidePool);

    world.policy.demands.clear();
    let plan = world.step(at(20));
    assert!(plan.changes[0].observation.contains("asks nothing of its nodes any more"), "{plan:#?}");
    assert_eq!(carriers(&world, "http").len(), 4);
}

#[test]
fn when_the_last_that_carries_a_listener_is_drained_pods_that_are_not_ready_are_better_than_none() {
    let mut world = followed(4);
    set(&mut world, 1, Ending);
    set(&mut world, 2, NotReady);
    pods(&mut world).forget("ingress/p4");
    world.step(at(10));
    assert_eq!(carriers(&world, "http"), ["w3"]);
    let mut leaving = worker("w3", "10.0.0.3");
    leaving.deleting = Some(at(19));
    world.view.observe(leaving);
    let plan = world.step(at(20));
    assert_eq!(carriers(&world, "http"), ["w2"], "one that may become Ready before one that ends; w4 has none at all");
    let said: Vec<&str> = plan.changes.iter().map(|change| change.observation.as_str()).collect();
    assert!(said.contains(&"listener http: no other node carries it; pod ingress/p2 is not Ready"), "{said:?}");
    let plan = world.step(at(21));
    assert_eq!((plan.changes.len(), guards(&plan)), (0, [Guard::NeverEmpty].into()));
    pods(&mut world).forget("ingress/p2");
    world.view.forget(&name("w2"), &uid("u-w2"));
    world.view.confirm_gone(&uid("u-w2"));
    world.step(at(22));
    assert_eq!(carriers(&world, "http"), ["w1"], "and that one before none");
    set(&mut world, 1, Ready);
    world.step(at(30));
    assert_eq!(carriers(&world, "http"), ["w1"]);
}

#[test]
fn who_joins_as_the_last_that_carries_a_listener_leaves_carries_it_though_its_pod_is_not_ready() {
    let mut world = followed(1);
    let mut leaving = worker("w1", "10.0.0.1");
    leaving.deleting = Some(at(9));
    world.view.observe(leaving);
    world.view.observe(worker("w2", "10.0.0.2"));
    set(&mut world, 2, NotReady);
    world.step(at(10));
    assert_eq!(carriers(&world, "http"), ["w2"], "seed 249 of the simulation");
}

#[test]
fn the_only_node_with_the_ingress_serves_until_it_has_left_and_then_nobody_is_behind_the_listener() {
    let mut world = followed(3);
    for n in 2..=3 {
        pods(&mut world).forget(&format!("ingress/p{n}"));
    }
    lets_through(&mut world, Guard::LargeDrop, 5, 55);
    world.step(at(10));
    assert_eq!(carriers(&world, "http"), ["w1"]);

    let mut leaving = worker("w1", "10.0.0.1");
    leaving.deleting = Some(at(49));
    world.view.observe(leaving);
    world.step(at(50));
    assert_eq!(carriers(&world, "http"), ["w1"], "whoever leaves last is better than nobody");
    assert_eq!(carriers(&world, "tls"), ["w2", "w3"], "of the other listener it drains");
    assert!(world.log.membership.is_vacant(&http()), "no active member carries it");
    world.step(at(80));
    assert_eq!(state(&world).pool(&http()).len(), 0);
    assert_eq!(carriers(&world, "tls"), ["w2", "w3"]);
}

#[test]
fn a_node_that_is_drained_takes_its_listeners_with_it() {
    let mut world = followed(3);
    set(&mut world, 1, Ending);
    let mut leaving = worker("w1", "10.0.0.1");
    leaving.deleting = Some(at(9));
    world.view.observe(leaving);
    let plan = world.step(at(10));
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(carriers(&world, "http"), ["w2", "w3"]);
    world.step(at(41));
    assert!(world.log.membership.get(&uid("u-w1")).is_none());
}

#[test]
fn a_clock_that_is_put_back_makes_no_drain_longer() {
    let mut world = followed(2);
    set(&mut world, 1, Ending);
    world.step(at(3600));
    world.step(at(10));
    assert_eq!(apart(&world, "w1").unwrap().deadline, Some(at(40)));
}

fn any_state() -> impl Strategy<Value = Option<InstanceState>> {
    prop::option::weighted(0.8, prop_oneof![4 => Just(Ready), 1 => Just(Ending), 1 => Just(NotReady)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever the pods do: the listener is never emptied, what is only observed takes at most half of it out, a stale
    /// view nobody, and each plan settles (`step` sees to that).
    #[test]
    fn no_history_of_pods_empties_a_listener(
        history in prop::collection::vec((prop::collection::vec(any_state(), 6), any::<bool>(), 1_u64..400), 1..8),
    ) {
        let mut world = followed(6);
        let mut now = 0;
        for (states, stale, later) in history {
            now += later;
            let time = Timestamp::from_second(at(0).as_second() + i64::try_from(now).unwrap()).unwrap();
            let before: BTreeSet<String> = carriers(&world, "http").into_iter().collect();
            let objects = (1_u8..).zip(&states).filter_map(|(n, state)| Some(pod(n, (*state)?))).collect();
            pods(&mut world).replace(objects);
            pods(&mut world).doubt(stale.then(|| "stale".to_owned()));
            world.step(time);
            let after: BTreeSet<String> = carriers(&world, "http").into_iter().collect();
            prop_assert!(!after.is_empty());
            if stale {
                prop_assert!(before.is_subset(&after), "{before:?} {after:?}");
            }
            for (n, state) in (1..).zip(&states) {
                let node = format!("w{n}");
                prop_assert!(*state != Some(Ready) || after.contains(&node), "{node} is Ready and does not carry it");
            }
            let fallen = (1..=6).filter(|n| {
                let apart = apart(&world, &format!("w{n}"));
                apart.is_some_and(|apart| apart.rule == Rule::PodNotReady && tidegate_core::time::elapsed(apart.since, time) < Duration::from_secs(1800))
            });
            prop_assert!(fallen.count() <= 3);
        }
    }
}
