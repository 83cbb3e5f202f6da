//! When a load balancer has let go of a node, and when a draining node has no connection left.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use support::*;
use tidegate_core::departure::{Departures, SILENT_AFTER, Sight};
use tidegate_core::ids::{LoadBalancerName, NodeUid};
use tidegate_core::membership::Membership;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::position::{Position, Revision, Term};

/// This process began to listen to the load balancers at this time.
const STARTED: i64 = 1_000;

fn position(term: u64, revision: u64) -> Position {
    Position { term: Term(term), revision: Revision(revision) }
}

/// A load balancer that was seen at STARTED + `seen`.
fn sight(lb: &str, seen: Option<i64>, live: Option<Position>) -> Sight {
    Sight {
        name: LoadBalancerName::parse(lb).unwrap(),
        last_seen: seen.map(|seconds| at(STARTED + seconds)),
        live,
        counted_at: None,
        connections: [].into(),
    }
}

fn counted(lb: &str, at: Position, connections: &[(&str, u64)]) -> Sight {
    let connections = connections.iter().map(|(address, count)| (ip(address), *count)).collect();
    Sight { counted_at: Some(at), connections, ..sight(lb, Some(0), Some(at)) }
}

/// Watched nodes: `w1` is out since term 2 revision 5, `w2` is active.
fn left() -> (Departures, Membership) {
    let membership = World::serving(&[worker("w2", "10.0.0.2")]).log.membership;
    let mut departures = Departures::default();
    departures.update(&membership, position(2, 5), [uid("u-w1"), uid("u-w2")].iter());
    (departures, membership)
}

/// `w1` drains since term 2 revision 5; `w2` is active.
fn draining() -> (Departures, Membership) {
    let mut world = World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]);
    let mut excluded = worker("w1", "10.0.0.1");
    excluded.labels.insert(EXCLUDE_LABEL.into(), String::new());
    world.view.observe(excluded);
    world.step(at(1));
    let mut departures = Departures::default();
    departures.update(&world.log.membership, position(2, 5), [].iter());
    (departures, world.log.membership)
}

fn only_w1() -> BTreeSet<NodeUid> {
    [uid("u-w1")].into()
}

fn is_acknowledged(departures: &Departures, sights: &[Sight], now: i64) -> bool {
    let acknowledged = departures.acknowledged(sights, at(STARTED), at(STARTED + now));
    assert!(acknowledged.is_subset(&only_w1()), "an active node has not left: {acknowledged:?}");
    // Both answers come from one rule.
    let awaited = departures.awaited(&uid("u-w1"), sights, at(STARTED), at(STARTED + now));
    assert_eq!(acknowledged.is_empty(), !awaited.is_empty(), "awaited: {awaited:?}");
    !acknowledged.is_empty()
}

#[test]
fn a_node_has_left_when_every_load_balancer_that_is_awaited_serves_a_position_without_it() {
    let silent = i64::try_from(SILENT_AFTER.as_secs()).unwrap();
    let (behind, there, beyond) = (Some(position(2, 4)), Some(position(2, 5)), Some(position(3, 6)));
    // An earlier term is earlier, whatever its revision says.
    let earlier_term = Some(position(1, 9));
    let cases: [(&str, Vec<Sight>, i64, bool); 14] = [
        ("there", vec![sight("a", Some(1), there)], 1, true),
        ("beyond", vec![sight("a", Some(1), beyond)], 1, true),
        ("behind", vec![sight("a", Some(1), behind)], 1, false),
        ("in an earlier term", vec![sight("a", Some(1), earlier_term)], 1, false),
        ("live nothing", vec![sight("a", Some(1), None)], 1, false),
        ("one of two", vec![sight("a", Some(1), there), sight("b", Some(1), behind)], 1, false),
        ("both", vec![sight("a", Some(1), there), sight("b", Some(1), beyond)], 1, true),
        ("one behind, silent for long", vec![sight("a", Some(0), behind)], silent, true),
        ("one behind, silent for less", vec![sight("a", Some(0), behind)], silent - 1, false),
        ("never heard of, soon after the start", vec![sight("a", None, None)], silent - 1, false),
        ("never heard of, long after the start", vec![sight("a", None, None)], silent, true),
        // Whoever saw it before this process started is no witness that it is silent now.
        ("seen long before the start", vec![sight("a", Some(-9_999), behind)], silent - 1, false),
        ("seen in the future: the clock was put back", vec![sight("a", Some(3_600), behind)], silent + 60, false),
        ("no load balancer at all", vec![], 0, true),
    ];
    let (departures, _) = left();
    for (what, sights, now, expected) in cases {
        assert_eq!(is_acknowledged(&departures, &sights, now), expected, "{what}");
    }
}

#[test]
fn who_is_awaited_is_told_by_name_and_nobody_waits_for_a_node_that_is_not_out() {
    let (departures, _) = left();
    let sights = [sight("a", Some(0), Some(position(2, 4))), sight("b", Some(0), Some(position(2, 5)))];
    let awaited = |node| departures.awaited(&uid(node), &sights, at(STARTED), at(STARTED));
    assert_eq!(awaited("u-w1"), [LoadBalancerName::parse("a").unwrap()]);
    assert_eq!((awaited("u-w2"), awaited("u-w3")), (vec![], vec![]));
}

#[test]
fn a_departure_counts_from_where_it_was_first_noted() {
    let (mut departures, membership) = left();
    let at_5 = [sight("a", Some(0), Some(position(2, 5)))];
    departures.update(&membership, position(2, 6), [uid("u-w1")].iter());
    assert!(is_acknowledged(&departures, &at_5, 0), "later commits do not move it");
    departures.update(&membership, position(2, 7), [].iter());
    assert!(!is_acknowledged_at_all(&departures), "nobody watches it any more");
    departures.update(&membership, position(2, 8), [uid("u-w1")].iter());
    assert!(!is_acknowledged(&departures, &at_5, 0), "what this process did not see happen counts from now on");
}

fn is_acknowledged_at_all(departures: &Departures) -> bool {
    !departures.acknowledged(&[], at(STARTED), at(STARTED)).is_empty()
}

#[test]
fn a_node_that_came_back_leaves_anew() {
    let (mut departures, without) = left();
    let with = World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]).log.membership;
    let watched = [uid("u-w1")];
    departures.update(&with, position(2, 6), watched.iter());
    assert!(!is_acknowledged_at_all(&departures));
    departures.update(&without, position(2, 7), watched.iter());
    assert!(!is_acknowledged(&departures, &[sight("a", Some(0), Some(position(2, 6)))], 0));
    assert!(is_acknowledged(&departures, &[sight("a", Some(0), Some(position(2, 7)))], 0));
}

#[test]
fn a_draining_node_is_idle_when_every_load_balancer_counted_none_since_the_drain() {
    let (older, since, later) = (position(2, 4), position(2, 5), position(2, 8));
    let none = [("10.0.0.1", 0), ("10.0.0.2", 7)];
    let uncounted = sight("b", Some(0), Some(since));
    let cases: [(&str, Vec<Sight>, bool); 9] = [
        ("none", vec![counted("a", since, &none)], true),
        ("none, later", vec![counted("a", later, &none)], true),
        ("none, by both", vec![counted("a", since, &none), counted("b", later, &none)], true),
        ("none, but before the drain was live", vec![counted("a", older, &none)], false),
        ("none, in an earlier term", vec![counted("a", position(1, 99), &none)], false),
        ("one connection", vec![counted("a", since, &[("10.0.0.1", 1)])], false),
        ("not counted", vec![counted("a", since, &[("10.0.0.2", 0)])], false),
        ("one load balancer cannot tell", vec![counted("a", since, &none), uncounted], false),
        ("no load balancer at all", vec![], false),
    ];
    let (departures, membership) = draining();
    for (what, sights, expected) in cases {
        let idle = departures.idle(&membership, &sights);
        assert_eq!(idle, if expected { only_w1() } else { BTreeSet::new() }, "{what}");
    }
}

#[test]
fn a_drain_that_was_cancelled_and_began_again_is_counted_anew() {
    let (mut departures, drains) = draining();
    let serves = World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]).log.membership;
    let of_the_first = [counted("a", position(2, 5), &[("10.0.0.1", 0)])];
    assert_eq!(departures.idle(&drains, &of_the_first), only_w1());
    departures.update(&serves, position(2, 6), [].iter());
    assert!(departures.idle(&serves, &of_the_first).is_empty());
    departures.update(&drains, position(2, 7), [].iter());
    assert!(departures.idle(&drains, &of_the_first).is_empty());
}

#[test]
fn what_happened_unseen_counts_from_now_on() {
    let (mut departures, membership) = left();
    // It came back with revision 6 and left again with 7: this process has seen neither.
    departures.update(&membership, position(2, 7), [uid("u-w1")].iter());
    let served = |at| is_acknowledged(&departures, &[sight("a", Some(0), Some(at))], 1);
    assert_eq!((served(position(2, 6)), served(position(2, 7))), (false, true));
}

#[test]
fn connections_over_a_former_address_count_too() {
    let mut world = World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]);
    world.view.observe(worker("w1", "10.0.0.9"));
    world.step(at(1));
    let mut excluded = worker("w1", "10.0.0.9");
    excluded.labels.insert(EXCLUDE_LABEL.into(), String::new());
    world.view.observe(excluded);
    world.step(at(2));
    let mut departures = Departures::default();
    departures.update(&world.log.membership, position(2, 5), [].iter());
    let idle = |former| {
        let sights = [counted("a", position(2, 5), &[("10.0.0.9", 0), ("10.0.0.1", former)])];
        departures.idle(&world.log.membership, &sights)
    };
    assert_eq!((idle(1), idle(0)), (BTreeSet::new(), only_w1()));
}
