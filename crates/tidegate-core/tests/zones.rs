//! Who is set aside for its zone, and when; and that every zone gets the same share.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;
use tidegate_core::desired::{Backend, BackendState, DesiredState, Listener};
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{ClusterName, ListenerName, NodeName};
use tidegate_core::node::{Weight, Zone};
use tidegate_core::position::Position;
use tidegate_core::probe::Overlay;
use tidegate_core::zones::{Zones, Zoning, zoned};

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

/// A backend by its number, in a zone (`-`: none).
fn backend(n: u8, of: &str) -> Backend {
    let zone = (of != "-").then(|| zone(of));
    Backend { zone, ..Backend::active(NodeName::parse(format!("w{n}")).unwrap(), [10, 0, 0, n].into(), 80) }
}

fn state(zones: Zones, pool: Vec<Backend>) -> DesiredState {
    let name = ListenerName::parse("http").unwrap();
    let listener = Listener { zones, ..Listener::tcp(name.clone(), "0.0.0.0:80".parse().unwrap(), 80) };
    DesiredState {
        cluster: ClusterName::parse("c").unwrap(),
        position: Position::default(),
        hash: ContentHash::of_bytes(b""),
        listeners: vec![listener],
        pools: [(name, pool)].into(),
        overrides: BTreeMap::new(),
    }
}

/// One backend for each zone that is named, numbered from 1.
fn preferring(zones: &[&str]) -> DesiredState {
    state(Zones::Prefer, (1..).zip(zones).map(|(n, of)| backend(n, of)).collect())
}

fn number(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(_) => 0,
    }
}

fn pool(state: &DesiredState) -> &[Backend] {
    state.pool(&state.listeners[0].name)
}

fn active(state: &DesiredState) -> Vec<u8> {
    pool(state).iter().filter(|b| b.is_active()).map(|b| number(b.address)).collect()
}

/// Who gets new connections while these do not answer.
fn served(zoning: &mut Zoning, desired: &DesiredState, down: &[u8]) -> Vec<u8> {
    let aside = zoning.judge(desired, |_, backend| !down.contains(&number(backend.address)));
    active(zoned(desired, &aside).as_ref().unwrap_or(desired))
}

fn in_a() -> Zoning {
    Zoning::new(Some(zone("a")))
}

#[test]
fn a_machine_keeps_to_its_own_zone() {
    let desired = preferring(&["a", "a", "b", "c", "-"]);
    assert_eq!(served(&mut in_a(), &desired, &[]), [1, 2, 5], "without a zone: the own one's");
    assert_eq!(served(&mut Zoning::new(Some(zone("c"))), &desired, &[]), [4, 5]);
    assert_eq!(served(&mut Zoning::new(None), &desired, &[]), [1, 2, 3, 4, 5]);
    let nowhere = preferring(&["b", "b"]);
    assert_eq!(served(&mut in_a(), &nowhere, &[]), [1, 2], "nobody stands in its zone");
    let any = state(Zones::Any, pool(&desired).to_vec());
    assert_eq!(served(&mut in_a(), &any, &[]), [1, 2, 3, 4, 5]);
}

#[test]
fn who_is_set_aside_keeps_its_connections() {
    let mut desired = preferring(&["a", "b", "b"]);
    let deadline = "2026-11-24T12:00:00Z".parse().unwrap();
    desired.pools.get_mut(&desired.listeners[0].name).unwrap()[2].state = BackendState::Draining { deadline };
    let aside = in_a().judge(&desired, |_, _| true);
    let effective = zoned(&desired, &aside).unwrap();
    let states: Vec<BackendState> = pool(&effective).iter().map(|b| b.state).collect();
    let far = BackendState::Draining { deadline: jiff::Timestamp::MAX };
    assert_eq!(
        states,
        [BackendState::Active, far, BackendState::Draining { deadline }],
        "its own drain has its deadline"
    );
    assert_eq!((effective.position, effective.hash), (desired.position, desired.hash));
}

#[test]
fn others_serve_when_less_than_half_is_up_and_until_more_than_half_is() {
    let desired = preferring(&["a", "a", "a", "a", "b"]);
    let mut zoning = in_a();
    let steps: [(&[u8], bool); 8] = [
        (&[], true),
        (&[1, 2], true),
        (&[1, 2, 3], false),
        // Half again: one that comes and goes there must not take the other zone in and out.
        (&[1, 2], false),
        (&[1], true),
        (&[1, 2], true),
        (&[1, 2, 3, 4], false),
        (&[], true),
    ];
    for (down, home) in steps {
        let expected: &[u8] = if home { &[1, 2, 3, 4] } else { &[1, 2, 3, 4, 5] };
        assert_eq!(served(&mut zoning, &desired, down), expected, "{down:?}");
    }
}

#[test]
fn a_zone_of_one_or_two_goes_home_when_all_are_up() {
    let (one, two) = (preferring(&["a", "b"]), preferring(&["a", "a", "b"]));
    let mut zoning = in_a();
    assert_eq!(served(&mut zoning, &one, &[1]), [1, 2]);
    assert_eq!(served(&mut zoning, &one, &[]), [1]);
    assert_eq!(served(&mut zoning, &two, &[1]), [1, 2], "half is enough");
    assert_eq!(served(&mut zoning, &two, &[1, 2]), [1, 2, 3]);
    assert_eq!(served(&mut zoning, &two, &[1]), [1, 2, 3]);
    assert_eq!(served(&mut zoning, &two, &[]), [1, 2]);
}

#[test]
fn a_restart_remembers_who_was_abroad() {
    let desired = preferring(&["a", "a", "b"]);
    let mut zoning = in_a();
    for (down, after_restart) in [(vec![1, 2], vec![1, 2, 3]), (vec![], vec![1, 2])] {
        let aside = zoning.judge(&desired, |_, b| !down.contains(&number(b.address)));
        let mut resumed = Zoning::resumed(Some(zone("a")), &desired, &aside);
        assert_eq!(served(&mut resumed, &desired, &[1]), after_restart, "half is up then");
    }
}

#[test]
fn a_listener_is_never_left_without_anybody() {
    let desired = preferring(&["b", "b"]);
    let mut aside = Overlay::default();
    for n in 1..=2 {
        aside.take_out(desired.listeners[0].name.clone(), [10, 0, 0, n].into());
    }
    assert_eq!(zoned(&desired, &aside), None);
}

#[test]
fn what_means_nothing_is_not_sent() {
    let json = |zones| serde_json::to_value(&state(zones, Vec::new()).listeners[0]).unwrap();
    assert_eq!(json(Zones::Any).get("zones"), None, "agents without the field understand it");
    assert_eq!(json(Zones::Prefer)["zones"], "prefer");
    for zones in [Zones::Any, Zones::Prefer, Zones::Spread] {
        assert_eq!(serde_json::from_value::<Listener>(json(zones)).unwrap().zones, zones);
    }
}

fn weights(zones: &[(&str, u8)]) -> Vec<u8> {
    let weighted =
        |(n, (of, weight)): (u8, &(&str, u8))| Backend { weight: Weight::new(*weight).unwrap(), ..backend(n, of) };
    let desired = state(Zones::Spread, (1..).zip(zones).map(weighted).collect());
    let effective = zoned(&desired, &Overlay::default());
    pool(effective.as_ref().unwrap_or(&desired)).iter().map(|b| b.weight.get()).collect()
}

#[test]
fn every_zone_gets_the_same_share() {
    assert_eq!(weights(&[("a", 1), ("b", 1), ("b", 1)]), [2, 1, 1]);
    assert_eq!(weights(&[("a", 1), ("a", 1), ("b", 1), ("b", 1), ("b", 1)]), [3, 3, 2, 2, 2]);
    assert_eq!(
        weights(&[("a", 1), ("b", 1), ("-", 1), ("-", 1)]),
        [2, 2, 1, 1],
        "those without a zone are one together"
    );
    assert_eq!(weights(&[("a", 4), ("b", 3), ("b", 1)]), [4, 3, 1], "in a zone, by weight");
    assert_eq!(weights(&[("a", 7), ("a", 3)]), [7, 3], "one zone is no spread");
    assert_eq!(weights(&[("-", 7), ("-", 3)]), [7, 3]);
    // 3 and 101 nodes: 101 and 3 would be exact. With 100, each zone's sum is right and no node's share.
    let many: Vec<(&str, u8)> = (0..104).map(|n| (if n < 3 { "a" } else { "b" }, 1)).collect();
    let spread = weights(&many);
    let sums = [&spread[..3], &spread[3..]].map(|part| part.iter().map(|w| u32::from(*w)).sum::<u32>());
    assert_eq!(sums, [300, 300]);
    assert!(spread[3..].iter().all(|weight| [2, 3].contains(weight)), "{spread:?}");
    // 1 and 150 nodes: more than 100 times as many.
    let many: Vec<(&str, u8)> = (0..151).map(|n| (if n < 1 { "a" } else { "b" }, 1)).collect();
    assert_eq!(weights(&many)[..3], [100, 1, 1]);
    assert_eq!(weights(&[("a", 1), ("b", 100), ("b", 1)]), [100, 99, 1], "nobody is left out");
}

#[test]
fn large_zones_get_small_weights_and_the_same_share() {
    let node = |n: u16, of: &str| {
        let [high, low] = n.to_be_bytes();
        Backend { address: [10, 1, high, low].into(), ..backend(1, of) }
    };
    let pool = (0..5_000).map(|n| node(n, if n < 2_400 { "a" } else { "b" })).collect();
    let spread = zoned(&state(Zones::Spread, pool), &Overlay::default()).unwrap();
    let (a, b) = self::pool(&spread).split_at(2_400);
    let sum = |part: &[Backend]| part.iter().map(|backend| u32::from(backend.weight.get())).sum::<u32>();
    // 2,400 and 2,600 have 31,200 in common, at 13 and 12 each: more than any engine should hold.
    assert_eq!((sum(a), sum(b)), (12_800, 12_800));
    assert!(a.iter().all(|n| [5, 6].contains(&n.weight.get())) && b.iter().all(|n| [4, 5].contains(&n.weight.get())));
}

fn backends() -> impl Strategy<Value = Vec<Backend>> {
    let one = (0..4_usize, 1..=100_u8, prop::bool::weighted(0.8));
    prop::collection::vec(one, 1..40).prop_map(|list| {
        let deadline = "2026-11-24T12:00:00Z".parse().unwrap();
        let backend = |(n, (of, weight, active)): (u8, (usize, u8, bool))| Backend {
            weight: Weight::new(weight).unwrap(),
            state: if active { BackendState::Active } else { BackendState::Draining { deadline } },
            ..backend(n, ["a", "b", "c", "-"][of])
        };
        (1..).zip(list).map(backend).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn somebody_serves_wherever_somebody_did(
        pool in backends(),
        rounds in prop::collection::vec(prop::collection::btree_set(1..40_u8, 0..40), 1..6),
        zones in prop_oneof![Just(Zones::Any), Just(Zones::Prefer), Just(Zones::Spread)],
    ) {
        let desired = state(zones, pool.clone());
        let mut zoning = in_a();
        for down in rounds {
            let aside = zoning.judge(&desired, |_, b| !down.contains(&number(b.address)));
            let effective = zoned(&desired, &aside).unwrap_or_else(|| desired.clone());
            let (before, after): (BTreeSet<u8>, BTreeSet<u8>) = (active(&desired).into_iter().collect(), active(&effective).into_iter().collect());
            prop_assert!(before.is_empty() == after.is_empty() && after.is_subset(&before));
            // Whoever answers in the own zone is served, and nobody is served alone that does not answer.
            let near = |b: &&Backend| b.is_active() && b.zone.as_ref().is_none_or(|z| *z == zone("a"));
            prop_assert!(pool.iter().filter(near).all(|b| after.contains(&number(b.address))));
            prop_assert!(after == before || after.iter().any(|n| !down.contains(n)));
            if zones == Zones::Prefer && down.is_empty() && pool.iter().any(|b| near(&b)) {
                prop_assert_eq!(after.len(), pool.iter().filter(near).count(), "the own zone alone");
            }
            if zones == Zones::Any {
                prop_assert_eq!(&effective, &desired);
            }
        }
    }

    #[test]
    fn without_zones_nothing_changes(pool in backends(), spreads in any::<bool>()) {
        let pool = pool.into_iter().map(|b| Backend { zone: None, ..b }).collect();
        let desired = state(if spreads { Zones::Spread } else { Zones::Prefer }, pool);
        let aside = in_a().judge(&desired, |_, _| true);
        prop_assert_eq!(zoned(&desired, &aside), None);
    }

    /// Small zones: their sums are equal to the last connection, and inside each zone the order of the weights is kept.
    #[test]
    fn spread_is_exact_for_zones_of_a_size(pool in backends()) {
        let desired = state(Zones::Spread, pool.clone());
        let effective = zoned(&desired, &Overlay::default()).unwrap_or_else(|| desired.clone());
        let mut parts: BTreeMap<Option<Zone>, Vec<(u8, u8)>> = BTreeMap::new();
        for (before, after) in pool.iter().zip(self::pool(&effective)).filter(|(b, _)| b.is_active()) {
            parts.entry(before.zone.clone()).or_default().push((before.weight.get(), after.weight.get()));
        }
        if parts.len() > 1 {
            let sums: BTreeSet<u32> = parts.values().map(|part| part.iter().map(|(_, w)| u32::from(*w)).sum()).collect();
            prop_assert_eq!(sums.len(), 1, "{:?}", parts);
        }
        for part in parts.values() {
            for ((before, after), (other_before, other_after)) in part.iter().flat_map(|one| part.iter().map(move |other| (*one, *other))) {
                prop_assert!(before <= other_before || after >= other_after, "{:?}", part);
            }
        }
    }
}
