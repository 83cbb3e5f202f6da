//! What people see: Events on Nodes, and the history.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write;

use support::*;
use tidegate_core::event::{LONGEST_NOTE, NodeEvent, Severity, event_of_release, events_of};
use tidegate_core::finalizer::Release;
use tidegate_core::log::{Decision, LogEntry};
use tidegate_core::node::ConditionStatus::{False, True};
use tidegate_core::node::Node;
use tidegate_core::order::{OrderChange, OrderKind};
use tidegate_core::position::Term;
use tidegate_core::status::HistoryRow;

fn drain_w2() -> OrderChange {
    let (uid, node, kind) = (uid("u-w2"), name("w2"), OrderKind::Drain);
    OrderChange { uid, node, kind, by: "ann@ops".into(), why: "new disk".into() }
}

/// Plans at this time, commits, and answers the entry.
fn commit(world: &mut World, orders: Vec<OrderChange>, seconds: i64) -> LogEntry {
    let orders_after = world.log.orders.with(&orders, at(seconds));
    let before = std::mem::replace(&mut world.log.orders, orders_after);
    let changes = world.plan(FRESH, at(seconds)).changes;
    world.log.orders = before;
    let decision = Decision { changes, orders, ..Decision::default() };
    let entry = world.log.next_entry(Term(1), "lb-1_4711_c0ffee", at(seconds), decision);
    world.log.append(&entry).unwrap();
    entry
}

/// Two nodes join; one is not ready, comes back, is ordered out, and is out; one moves.
fn life() -> Vec<LogEntry> {
    let mut world = World::default();
    world.view.replace(vec![worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]);
    let mut entries = vec![world.log.election("lb-1_4711_c0ffee", at(0))];
    world.log.append(&entries[0]).unwrap();
    entries.push(commit(&mut world, vec![], 1));
    world.view.observe(with_ready(worker("w2", "10.0.0.2"), False, at(10)));
    entries.push(commit(&mut world, vec![], 10));
    world.view.observe(with_ready(worker("w2", "10.0.0.2"), True, at(20)));
    entries.push(commit(&mut world, vec![], 20));
    entries.push(commit(&mut world, vec![drain_w2()], 30));
    entries.push(commit(&mut world, vec![], 60));
    world.view.observe(Node { hostname: Some("one".into()), ..worker("w1", "10.0.0.9") });
    entries.push(commit(&mut world, vec![], 70));
    let repairs = vec!["the document of w1 was missing; it was written again".into()];
    let repair = world.log.next_entry(Term(1), "lb-1_4711_c0ffee", at(80), Decision { repairs, ..Decision::default() });
    world.log.append(&repair).unwrap();
    entries.push(repair);
    entries
}

fn line(event: &NodeEvent) -> String {
    let NodeEvent { node, uid, severity, reason, action, note } = event;
    format!("{severity:?} {reason} {action} {node} ({uid}): {note}\n")
}

#[test]
fn each_change_of_phase_is_an_event_and_nothing_else_is() {
    let events: String = life().iter().flat_map(events_of).map(|event| line(&event)).collect();
    insta::assert_snapshot!("events", events);
}

#[test]
fn the_history_has_a_row_for_each_thing_that_an_entry_decides() {
    let mut text = String::new();
    for (entry, row) in life().iter().flat_map(|entry| HistoryRow::of(entry).into_iter().map(move |row| (entry, row))) {
        assert_eq!((row.at, row.position, &row.holder), (entry.at, entry.position(), &entry.holder));
        let what = match (&row.change, &row.note) {
            (Some(c), None) => {
                format!("{} {} -> {} by {}: {}", c.node, c.from.as_str(), c.to.as_str(), c.rule, c.observation)
            }
            (None, Some(note)) => note.clone(),
            (None, None) => "election".to_owned(),
            (Some(_), Some(_)) => unreachable!("a row says one thing"),
        };
        writeln!(text, "{} {what}", row.position.revision).unwrap();
    }
    insta::assert_snapshot!("history", text);
}

#[test]
fn only_a_release_at_the_deadline_is_worth_a_warning() {
    let event = |release| event_of_release(&name("w1"), &uid("u-w1"), release, "waits for lb-2");
    assert_eq!((event(Release::Drained), event(Release::Unmanaged)), (None, None));
    let event = event(Release::Deadline).unwrap();
    assert_eq!((event.severity, event.reason, event.action), (Severity::Warning, "DrainDeadlineExceeded", "Release"));
    assert!(event.note.ends_with("before the node was out of every load balancer: waits for lb-2"), "{}", event.note);
}

#[test]
fn a_note_is_never_longer_than_the_api_server_takes() {
    for awaited in ["x".repeat(2_000), "ü".repeat(2_000), "x".repeat(LONGEST_NOTE)] {
        let note = event_of_release(&name("w1"), &uid("u-w1"), Release::Deadline, &awaited).unwrap().note;
        assert!(note.len() <= LONGEST_NOTE && note.len() > LONGEST_NOTE - 4 && note.ends_with("..."), "{}", note.len());
    }
    let mut world = World::serving(&[worker("w1", "10.0.0.1"), worker("w2", "10.0.0.2")]);
    let mut node = with_ready(worker("w1", "10.0.0.1"), False, at(10));
    node.ready.as_mut().unwrap().message = "x".repeat(5_000);
    world.view.observe(node);
    let events = events_of(&commit(&mut world, vec![], 10));
    assert_eq!(events[0].note.len(), LONGEST_NOTE);
}
