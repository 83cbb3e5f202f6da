//! 5,000 nodes: what a change writes, and how long a start takes. A binary of its own: nothing runs beside it.
#![cfg(test)]

#[path = "../mongodb/support.rs"]
#[allow(dead_code, reason = "shared with the other tests of MongoDB")]
mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use mongodb::bson::doc;
use tidegate_core::eligibility::Rule;
use tidegate_core::log::{Change, LogState, Phase};
use tidegate_core::membership::MemberState;
use tidegate_core::position::{Revision, Term};
use tidegate_store::conformance::scenario::{at, member, name, uid};
use tidegate_store::{NodeDocument, Store, commit};

use support::{MongoDatabase, cluster};

const NODES: u16 = 5_000;

/// The goal holds for what is shipped; without optimization reading documents takes about twice as long.
const START_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 });

/// A node with an address of its own.
fn joins(number: u16, revision: Revision) -> Change {
    let node = format!("w{number}");
    let mut to = member(&node, 1, MemberState::Active, at(revision));
    let [high, low] = number.to_be_bytes();
    to.addresses = vec![IpAddr::V4(Ipv4Addr::new(10, 1, high, low))];
    let (uid, node) = (uid(&format!("u-{node}")), name(&node));
    Change { uid, node, from: Phase::Out, to: Some(to), rule: Rule::Eligible, observation: "Ready".to_owned() }
}

#[tokio::test]
async fn a_start_takes_less_than_a_second_and_a_change_writes_one_entry_and_one_document() {
    let database = MongoDatabase::new();
    let store = database.store();
    let mut state = LogState::default();
    let all: Vec<_> = (0..NODES).map(|number| joins(number, Revision(1))).collect();
    let first = state.next_entry(Term(1), "test", at(Revision(1)), all);
    let second = {
        commit(&store, &first).await.unwrap();
        state.append(&first).unwrap();
        state.election("test", at(Revision(2)))
    };
    commit(&store, &second).await.unwrap();
    state.append(&second).unwrap();
    store.write_snapshot(&state.to_snapshot(at(Revision(2)))).await.unwrap();
    store.repair_nodes(&NodeDocument::all(&cluster(), &state.membership)).await.unwrap();
    for number in 0..256 {
        let revision = state.position.revision.next();
        let entry = state.next_entry(Term(2), "test", at(revision), vec![joins(number, revision)]);
        commit(&store, &entry).await.unwrap();
        state.append(&entry).unwrap();
    }
    store.repair_nodes(&NodeDocument::all(&cluster(), &state.membership)).await.unwrap();

    let started = Instant::now();
    let loaded = database.store().load().await.unwrap();
    let elapsed = started.elapsed();
    assert_eq!(loaded, state);
    println!("a start with {NODES} nodes and 256 entries: {elapsed:?}");
    assert!(elapsed < START_WITHIN, "a start took {elapsed:?}");

    let change = joins(7, state.position.revision.next());
    let entry = state.next_entry(Term(2), "test", at(Revision(999)), vec![change]);
    let (active, removed) = NodeDocument::of_changes(&cluster(), &entry.changes);
    let before = documents(&database).await;
    commit(&store, &entry).await.unwrap();
    store.write_nodes(&active, &removed).await.unwrap();
    assert_eq!((active.len(), removed.len()), (1, 0));
    let after = documents(&database).await;
    let written: Vec<_> = after.iter().filter(|document| !before.contains(*document)).collect();
    assert_eq!(written.len(), 2, "{written:?}");
}

/// Every document of every collection, as text.
async fn documents(database: &MongoDatabase) -> std::collections::BTreeSet<String> {
    use futures::TryStreamExt;
    let mut all = std::collections::BTreeSet::new();
    for name in ["revisions", "nodes", "clusters", "snapshots"] {
        let mut found = database.collection(name).await.find(doc! {}).await.unwrap();
        while let Some(document) = found.try_next().await.unwrap() {
            all.insert(format!("{name} {document}"));
        }
    }
    all
}
