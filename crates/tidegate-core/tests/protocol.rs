//! What agents admit, and what the messages look like: both are contracts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use support::*;
use tidegate_core::desired::{Balance, DesiredState, Listener, Protocol, ProxyProtocol};
use tidegate_core::ids::{ClusterName, ListenerName};
use tidegate_core::membership::Membership;
use tidegate_core::position::{Position, Revision, Term};
use tidegate_core::protocol::{ApplyReport, Live, Outcome, Refusal};
use tidegate_core::webhook::{Admission, Admitted};

fn position(term: u64, revision: u64) -> Position {
    Position { term: Term(term), revision: Revision(revision) }
}

fn listener(allow_empty: bool) -> Listener {
    Listener {
        name: ListenerName::parse("https").unwrap(),
        bind: "[::]:443".parse().unwrap(),
        protocol: Protocol::Tcp,
        target_port: 8443,
        balance: Balance::LeastConnections,
        proxy_protocol: ProxyProtocol::V1,
        source_ranges: vec!["10.0.0.0/8".parse().unwrap()],
        allow_empty,
        limits: tidegate_core::desired::Limits::default(),
        probe: None,
        zones: tidegate_core::zones::Zones::Any,
    }
}

fn state(at: Position, membership: &Membership) -> DesiredState {
    DesiredState::derive(ClusterName::parse("prod").unwrap(), at, membership, &[listener(false)])
}

fn one() -> Membership {
    World::serving(&[worker("w1", "10.0.0.1")]).log.membership
}

fn two() -> Membership {
    World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]).log.membership
}

#[test]
fn states_are_admitted_in_order_and_repeats_are_recognised() {
    let mut admission = Admission::new(None);
    assert_eq!(admission.admit(&state(position(1, 5), &one())), Ok(Admitted::Newer));
    assert_eq!(admission.admit(&state(position(1, 5), &one())), Ok(Admitted::Same));
    assert_eq!(admission.admit(&state(position(2, 6), &two())), Ok(Admitted::Newer));
    let older = Refusal::OlderPosition { offered: position(1, 9), current: position(2, 6) };
    assert_eq!(admission.admit(&state(position(1, 9), &one())), Err(older));
    assert!(matches!(admission.admit(&state(position(2, 6), &one())), Err(Refusal::ContentConflict { .. })));
    assert_eq!(admission.newest(), Some(position(2, 6)));
}

#[test]
fn a_state_of_another_cluster_or_with_a_wrong_hash_changes_nothing() {
    let mut admission = Admission::new(None);
    admission.admit(&state(position(1, 1), &one())).unwrap();
    let mut foreign = state(position(1, 2), &two());
    foreign.cluster = ClusterName::parse("staging").unwrap();
    assert!(matches!(admission.admit(&foreign), Err(Refusal::OtherCluster { .. })));
    let mut damaged = state(position(1, 2), &two());
    damaged.pools.clear();
    assert!(matches!(admission.admit(&damaged), Err(Refusal::Malformed { .. })));
    assert_eq!(admission.newest(), Some(position(1, 1)));
}

#[test]
fn an_agent_lets_nobody_empty_it() {
    let mut admission = Admission::new(None);
    let empty = state(position(1, 1), &Membership::default());
    let name = ListenerName::parse("https").unwrap();
    assert_eq!(admission.admit(&empty), Err(Refusal::WouldBeEmpty { listeners: vec![name] }));
    let cluster = ClusterName::parse("prod").unwrap();
    let meant = DesiredState::derive(cluster, position(1, 1), &Membership::default(), &[listener(true)]);
    assert_eq!(admission.admit(&meant), Ok(Admitted::Newer));
}

#[test]
fn the_hash_is_of_the_content_and_not_of_the_position() {
    assert_eq!(state(position(1, 1), &one()).hash, state(position(2, 9), &one()).hash);
    assert_ne!(state(position(1, 1), &one()).hash, state(position(1, 1), &two()).hash);
}

#[test]
fn the_messages_are_a_contract() {
    insta::assert_json_snapshot!("desired_state", state(position(3, 41), &one()));
    let live = Live { position: position(3, 41), hash: state(position(3, 41), &one()).hash };
    let report = ApplyReport { outcome: Outcome::Applied, live: Some(live), timings: vec![] };
    insta::assert_json_snapshot!("apply_report", report);
    let refusal = Refusal::OlderPosition { offered: position(1, 9), current: position(2, 6) };
    insta::assert_json_snapshot!("refusal", refusal);
    let entry = World::serving(&[worker("w1", "10.0.0.1")]);
    let mut world = World::default();
    world.view.replace(vec![worker("w1", "10.0.0.1")]);
    let plan = world.plan(FRESH, at(0));
    let entry_of_it = world.log.next_entry(Term(1), "lb-1/4711", at(0), plan.changes);
    assert_eq!(entry.log.membership.hash(), entry_of_it.state_hash);
    insta::assert_json_snapshot!("log_entry", entry_of_it);
}

#[test]
fn every_message_reads_back_as_it_was_written() {
    let sent = state(position(3, 41), &two());
    let received: DesiredState = serde_json::from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
    assert_eq!(received, sent);
    assert_eq!(received.content_hash(), sent.hash);
}
