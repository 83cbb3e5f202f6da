//! Documents that somebody deleted or edited: an error that names them and a cure, never a wrong state.

use mongodb::bson::{Document, doc};
use tidegate_core::class::ErrorClass;
use tidegate_core::log::{LogState, ReplayError};
use tidegate_core::position::Revision;
use tidegate_store::conformance::scenario::{Scenario, at};
use tidegate_store::{HistoryQuery, Store, StoreError};

use super::support::MongoDatabase;

/// A log of so many entries, with snapshots of these revisions.
async fn prepare(entries: u64, snapshots: &[u64]) -> (MongoDatabase, LogState) {
    let database = MongoDatabase::new();
    let store = database.store();
    let mut scenario = Scenario::new(42);
    for revision in (1..=entries).map(Revision) {
        scenario.commit(&store, 1).await.unwrap();
        if snapshots.contains(&revision.0) {
            store.write_snapshot(&scenario.state().to_snapshot(at(revision))).await.unwrap();
        }
    }
    (database, scenario.state().clone())
}

fn id(revision: u64) -> Document {
    doc! { "_id": format!("prod/{revision:020}") }
}

async fn refused(database: &MongoDatabase) -> StoreError {
    let error = database.store().load().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent, "{error}");
    assert!(error.to_string().contains("cure: "), "{error}");
    error
}

#[tokio::test]
async fn a_revision_that_was_deleted_is_a_gap() {
    let (database, _) = prepare(20, &[10]).await;
    database.collection("revisions").await.delete_one(id(15)).await.unwrap();
    let gap = ReplayError::Gap { expected: Revision(15), found: Revision(16) };
    let error = refused(&database).await;
    assert!(matches!(&error, StoreError::Damaged { source, .. } if *source == gap), "{error}");
}

#[tokio::test]
async fn a_log_that_ends_before_its_snapshot_is_refused() {
    let (database, _) = prepare(20, &[5, 20]).await;
    let revisions = database.collection("revisions").await;
    for revision in 13..=20 {
        revisions.delete_one(id(revision)).await.unwrap();
    }
    let error = refused(&database).await.to_string();
    assert!(error.contains("prod/00000000000000000020"), "going back to 12 would be wrong: {error}");
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_named() {
    for edit in [
        doc! { "changes": "none" },
        doc! { "at": "yesterday" },
        doc! { "stateHash": 7 },
        doc! { "revision": 4_i64 },
        doc! { "orders": [{ "uid": "a;b" }] },
    ] {
        let (database, _) = prepare(5, &[]).await;
        let edited = database.collection("revisions").await.update_one(id(3), doc! { "$set": edit.clone() }).await;
        assert_eq!(edited.unwrap().modified_count, 1);
        let error = refused(&database).await;
        let text = error.to_string();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{edit}: {text}");
        assert!(text.contains("prod/00000000000000000003") && text.contains("collection revisions"), "{text}");
    }
}

#[tokio::test]
async fn an_entry_that_was_edited_does_not_add_up() {
    let (database, _) = prepare(20, &[]).await;
    let revisions = database.collection("revisions").await;
    let changed = database.store().history(&HistoryQuery { node: None, limit: 20 }).await.unwrap();
    let changed = changed.iter().find(|entry| entry.changes.iter().any(|change| change.to.is_some())).unwrap();
    let emptied = revisions.update_one(id(changed.revision.0), doc! { "$set": { "changes": [] } }).await.unwrap();
    assert_eq!(emptied.modified_count, 1);
    let error = refused(&database).await;
    let StoreError::Damaged { source: ReplayError::HashMismatch { revision, .. }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*revision, changed.revision);
}

#[tokio::test]
async fn a_damaged_snapshot_is_skipped_while_the_log_adds_up_without_it() {
    let (database, state) = prepare(20, &[5, 15]).await;
    let snapshots = database.collection("snapshots").await;
    snapshots.update_one(id(15), doc! { "$set": { "state": "{" } }).await.unwrap();
    assert_eq!(database.store().load().await.unwrap(), state);
}

#[tokio::test]
async fn a_later_schema_is_left_alone() {
    let (database, _) = prepare(3, &[]).await;
    database.store().claim("uid-1").await.unwrap();
    let clusters = database.collection("clusters").await;
    clusters.update_one(doc! { "_id": "prod" }, doc! { "$set": { "schema": 99 } }).await.unwrap();
    let error = refused(&database).await;
    assert!(matches!(error, StoreError::NewerSchema { found: 99, supported: 1 }), "{error}");
    let error = database.store().claim("uid-1").await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
}
