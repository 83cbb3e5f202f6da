//! The hash that is kept up to date by what changes is the hash of what exists, and a log adds up to one state.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;
use support::*;
use tidegate_core::carriage::Apart;
use tidegate_core::eligibility::Rule;
use tidegate_core::guard::{Guard, OverrideChange};
use tidegate_core::ids::ListenerName;
use tidegate_core::log::{Change, Decision, LogEntry, LogState, Phase, ReplayError};
use tidegate_core::membership::{Member, MemberState, Membership, Retiring};
use tidegate_core::node::Weight;
use tidegate_core::order::{OrderChange, OrderKind};

fn state() -> impl Strategy<Value = MemberState> {
    let draining = (0..3_i64).prop_map(|deadline| MemberState::Draining { deadline: at(deadline) });
    prop_oneof![Just(MemberState::Active), draining]
}

fn member() -> impl Strategy<Value = Member> {
    (state(), 0..3_u8, prop::option::of(0..3_i64)).prop_map(|(state, octet, retiring)| Member {
        node: name("w1"),
        hostname: format!("host-{octet}"),
        addresses: vec![ip(&format!("10.0.0.{octet}"))],
        state,
        rule: Rule::Eligible,
        reason: "Ready".into(),
        since: at(0),
        retiring: retiring.into_iter().map(|d| Retiring { address: ip("10.0.0.9"), deadline: at(d) }).collect(),
        apart: retiring.into_iter().map(|d| (ListenerName::parse("http").unwrap(), apart(at(d)))).collect(),
        weight: Weight::new(octet + 1).unwrap(),
        zone: None,
    })
}

fn apart(since: Timestamp) -> Apart {
    Apart { deadline: None, rule: Rule::NoPod, reason: "none".into(), since }
}

/// Few nodes, so that many changes of one entry are about the same.
fn change() -> impl Strategy<Value = Change> {
    (0..4_u8, prop::option::weighted(0.7, member())).prop_map(|(n, to)| Change {
        uid: uid(&format!("u-{n}")),
        node: name("w1"),
        from: Phase::Out,
        to,
        rule: Rule::Eligible,
        observation: "Ready".into(),
    })
}

fn order() -> impl Strategy<Value = OrderChange> {
    let kind = prop_oneof![2 => Just(OrderKind::Drain), 1 => Just(OrderKind::Undrain), 1 => Just(OrderKind::Forget)];
    (0..4_u8, kind, 0..3_u8).prop_map(|(n, kind, why)| OrderChange {
        uid: uid(&format!("u-{n}")),
        node: name("w1"),
        kind,
        by: "ann@ops".into(),
        why: format!("reason {why}"),
    })
}

fn exception() -> impl Strategy<Value = OverrideChange> {
    let guard = prop_oneof![Just(Guard::Half), Just(Guard::Velocity)];
    (guard, 1_000_000..1_000_600_i64).prop_map(|(guard, seconds)| OverrideChange {
        guard,
        until: at(seconds),
        by: "ann@ops".into(),
        why: "rack 4".into(),
    })
}

fn decision() -> impl Strategy<Value = Decision> {
    let repairs = prop::collection::vec(Just("w1 was put back".to_owned()), 0..2);
    let overrides = prop::collection::vec(exception(), 0..2);
    (prop::collection::vec(change(), 0..6), prop::collection::vec(order(), 0..3), overrides, repairs)
        .prop_map(|(changes, orders, overrides, repairs)| Decision { changes, orders, overrides, repairs })
}

/// The log of these decisions, and the state after each entry; every third opens a term.
fn log_of(decisions: Vec<Decision>) -> (Vec<LogEntry>, Vec<LogState>) {
    let (mut log, mut entries, mut states) = (LogState::default(), Vec::new(), Vec::new());
    for (i, decision) in decisions.into_iter().enumerate() {
        let now = at(i64::try_from(i).unwrap());
        let entry =
            if i % 3 == 0 { log.election("a", now) } else { log.next_entry(log.position.term, "a", now, decision) };
        log.append(&entry).unwrap();
        assert_eq!(log.state_hash(), entry.state_hash);
        entries.push(entry);
        states.push(log.clone());
    }
    (entries, states)
}

fn from_scratch(membership: &Membership) -> Membership {
    Membership::from(membership.members().clone())
}

fn written_and_read<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_hash_of_what_changed_is_the_hash_of_what_exists(entries in prop::collection::vec(prop::collection::vec(change(), 0..8), 1..12)) {
        let mut membership = Membership::default();
        for changes in entries {
            let foretold = membership.hash_with(&changes);
            prop_assert_eq!(foretold, membership.with(&changes).hash());
            for change in &changes {
                membership.apply(change);
            }
            prop_assert_eq!(membership.hash(), foretold);
            prop_assert_eq!(&membership, &from_scratch(&membership));
        }
        membership = changes_to_nothing(&membership);
        prop_assert_eq!(membership.hash(), Membership::default().hash(), "nothing has one hash, whatever came before");
    }

    #[test]
    fn different_memberships_have_different_hashes(
        left in prop::collection::vec(change(), 0..6), right in prop::collection::vec(change(), 0..6)
    ) {
        let [left, right] = [left, right].map(|changes| Membership::default().with(&changes));
        prop_assert_eq!(left.members() == right.members(), left.hash() == right.hash());
    }

    #[test]
    fn a_log_that_was_written_and_read_adds_up_to_the_same_state_from_every_snapshot(decisions in prop::collection::vec(decision(), 1..12), from in any::<Index>()) {
        let (entries, states) = log_of(decisions);
        let start = from.index(states.len());
        let snapshot = written_and_read(&states[start].to_snapshot(at(0)));
        prop_assert_eq!(snapshot.state_hash(), entries[start].state_hash);
        let mut late = LogState::from_snapshot(snapshot);
        prop_assert_eq!(&late, &states[start]);
        for entry in &entries[start + 1..] {
            late.append(&written_and_read(entry)).unwrap();
        }
        prop_assert_eq!(Some(&late), states.last());
        prop_assert_eq!(late.membership.hash(), from_scratch(&late.membership).hash());
    }

    #[test]
    fn an_entry_without_one_of_its_parts_is_refused_and_changes_nothing(decisions in prop::collection::vec(decision(), 2..8), victim in any::<Index>()) {
        let (entries, states) = log_of(decisions);
        let victim = victim.index(entries.len());
        let before = if victim == 0 { LogState::default() } else { states[victim - 1].clone() };
        for damaged in without_a_part(&entries[victim]) {
            let mut log = before.clone();
            let kept = log.append(&damaged);
            // A part that changed nothing is not missed.
            if kept.is_ok() {
                prop_assert_eq!(&log, &states[victim]);
            } else {
                let mismatch = matches!(kept, Err(ReplayError::HashMismatch { .. }));
                prop_assert!(mismatch, "{:?}", kept);
                prop_assert_eq!(&log, &before);
            }
        }
    }
}

fn changes_to_nothing(membership: &Membership) -> Membership {
    let gone = |(uid, member): (&tidegate_core::ids::NodeUid, &Member)| Change {
        uid: uid.clone(),
        node: member.node.clone(),
        from: Phase::of(Some(member)),
        to: None,
        rule: Rule::Gone,
        observation: "gone".into(),
    };
    let changes: Vec<Change> = membership.members().iter().map(gone).collect();
    membership.with(&changes)
}

fn without_a_part(entry: &LogEntry) -> Vec<LogEntry> {
    let changes = (0..entry.changes.len()).map(|i| {
        let mut damaged = entry.clone();
        damaged.changes.remove(i);
        damaged
    });
    let orders = (0..entry.orders.len()).map(|i| {
        let mut damaged = entry.clone();
        damaged.orders.remove(i);
        damaged
    });
    let last_of_its_guard = |i: usize| {
        let guard = entry.overrides[i].guard;
        entry.overrides.iter().skip(i + 1).all(|later| later.guard != guard)
    };
    let overrides = (0..entry.overrides.len()).filter(|i| last_of_its_guard(*i)).map(|i| {
        let mut damaged = entry.clone();
        damaged.overrides.remove(i);
        damaged
    });
    changes.chain(orders).chain(overrides).collect()
}

#[test]
fn an_order_with_another_time_or_reason_is_another_state() {
    let order = |why: &str| {
        let (uid, node, by) = (uid("u-1"), name("w1"), "ann@ops".to_owned());
        OrderChange { uid, node, kind: OrderKind::Drain, by, why: why.to_owned() }
    };
    let log = LogState::default();
    let entry = |why, seconds| {
        let decision = Decision { orders: vec![order(why)], ..Decision::default() };
        log.next_entry(log.position.term, "a", at(seconds), decision)
    };
    let (original, later, other) = (entry("disk", 1), entry("disk", 2), entry("fan", 1));
    assert_ne!(original.state_hash, later.state_hash);
    assert_ne!(original.state_hash, other.state_hash);
    assert_ne!(original.state_hash, log.election("a", at(1)).state_hash);
}
