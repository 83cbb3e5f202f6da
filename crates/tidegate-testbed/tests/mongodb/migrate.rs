//! From SQLite to MongoDB and back: nothing is lost, whatever the log has been through.

use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::position::Revision;
use tidegate_store::conformance::scenario::{Scenario, at};
use tidegate_store::{HistoryQuery, Retention, SqliteStore, Store, Transfer, migrate};

use super::support::{MongoDatabase, cluster};

const EVERYTHING: HistoryQuery = HistoryQuery { node: None, limit: usize::MAX };

async fn fill(store: &dyn Store) {
    let mut scenario = Scenario::new(5);
    store.claim("uid-1").await.unwrap();
    for revision in (1..=1_000).map(Revision) {
        scenario.commit(store, 1).await.unwrap();
        if revision.0.is_multiple_of(256) {
            store.write_snapshot(&scenario.state().to_snapshot(at(revision))).await.unwrap();
        }
    }
    let retention = Retention { age: Duration::ZERO, entries: 700 };
    assert_eq!(store.prune(retention, Timestamp::MAX).await.unwrap(), 300);
    let history = store.history(&EVERYTHING).await.unwrap();
    assert!(history.iter().any(|entry| !entry.orders.is_empty()) && history.iter().any(|e| !e.repairs.is_empty()));
}

#[tokio::test]
async fn a_log_of_a_thousand_revisions_goes_to_mongodb_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name| SqliteStore::open(&folder.path().join(name), &cluster()).unwrap();
    let (first, last) = (open("first.db"), open("last.db"));
    fill(&first).await;
    let database = MongoDatabase::new();
    let there = migrate(&cluster(), &first, &database.store()).await.unwrap();
    let back = migrate(&cluster(), &database.store(), &last).await.unwrap();
    assert_eq!((there.entries, there.snapshots), (700, 2));
    assert_eq!(back, there);
    let mongo = database.store();
    for store in [&mongo as &dyn Transfer, &last] {
        assert_eq!(store.load().await.unwrap(), first.load().await.unwrap());
        assert_eq!(store.history(&EVERYTHING).await.unwrap(), first.history(&EVERYTHING).await.unwrap());
        assert_eq!(store.snapshots().await.unwrap(), first.snapshots().await.unwrap());
        assert_eq!(store.identity().await.unwrap().as_deref(), Some("uid-1"));
    }
}
