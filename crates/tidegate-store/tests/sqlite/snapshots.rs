//! A snapshot that cannot be trusted is skipped as long as the log adds up without it.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use tidegate_store::{Retention, Store, StoreError};

use super::support::{Prepared, assert_for_people, open};

const NOTHING: Retention = Retention { age: Duration::ZERO, entries: 0 };

/// What may have happened to the newest snapshot.
const DAMAGE: [&str; 4] = ["membership = '{'", "membership = '{}'", "term = 77", "at = ''"];

#[tokio::test]
async fn an_older_snapshot_steps_in() {
    for damage in DAMAGE {
        let store = Prepared::new(40, &[10, 20, 30]).await;
        store.by_hand(&format!("update snapshots set {damage} where revision = 30"));
        store.by_hand("delete from revisions where revision < 20");
        assert_eq!(store.start().await.unwrap(), store.state, "{damage}");
    }
}

#[tokio::test]
async fn the_whole_log_steps_in() {
    let store = Prepared::new(40, &[10, 20, 30]).await;
    store.by_hand("update snapshots set membership = '[]'");
    assert_eq!(store.start().await.unwrap(), store.state);
}

#[tokio::test]
async fn where_nothing_steps_in_the_snapshot_is_named() {
    for damage in DAMAGE {
        let store = Prepared::new(40, &[10, 30]).await;
        assert_eq!(open(&store.path()).unwrap().prune(NOTHING, Timestamp::MAX).await.unwrap(), 29);
        store.by_hand(&format!("update snapshots set {damage} where revision = 30"));
        let error = store.start().await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert_for_people(&error, &store.path());
        assert!(error.to_string().contains("revision 30 of cluster prod in table snapshots"), "{error}");
    }
}

#[tokio::test]
async fn pruning_never_leans_on_a_damaged_snapshot() {
    let store = Prepared::new(40, &[10, 20, 30]).await;
    store.by_hand("update snapshots set membership = '{}' where revision = 30");
    assert_eq!(open(&store.path()).unwrap().prune(NOTHING, Timestamp::MAX).await.unwrap(), 19);
    assert_eq!(store.start().await.unwrap(), store.state);
}

#[tokio::test]
async fn a_damaged_snapshot_is_healed_by_writing_it_again() {
    let store = Prepared::new(40, &[40]).await;
    store.by_hand("update snapshots set membership = '{}'");
    let handle = open(&store.path()).unwrap();
    handle.write_snapshot(&store.state.to_snapshot(Timestamp::UNIX_EPOCH)).await.unwrap();
    assert_eq!(handle.prune(NOTHING, Timestamp::MAX).await.unwrap(), 39);
    assert_eq!(store.start().await.unwrap(), store.state);
}

#[tokio::test]
async fn three_snapshots_are_kept() {
    let store = Prepared::new(40, &[5, 10, 20, 30, 40]).await;
    let keep_all = Retention { age: Duration::ZERO, entries: 1_000 };
    assert_eq!(open(&store.path()).unwrap().prune(keep_all, Timestamp::MAX).await.unwrap(), 0);
    let connection = Connection::open(store.path()).unwrap();
    let mut statement = connection.prepare("select revision from snapshots order by revision").unwrap();
    let kept: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(kept, [20, 30, 40]);
}
