//! A log moves as a whole or not at all. The cases move it from one cluster's name to another's in the same database,
//! which is as far apart as two databases are.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::position::Revision;

use super::scenario::{Scenario, at};
use super::{Database, Outcome, cluster, open};
use crate::{
    HistoryQuery, ImportStep, MigrateError, NodeDocument, Retention, Store, StoreError, Transfer, commit, migrate,
};

const EVERYTHING: HistoryQuery = HistoryQuery { node: None, limit: usize::MAX };

/// A log of so many entries with a snapshot at every 40th, and an identity.
async fn prepare(store: &dyn Store, entries: u64) -> Result<Scenario, StoreError> {
    let mut scenario = Scenario::new(1);
    store.claim("uid-1").await?;
    for revision in (1..=entries).map(Revision) {
        scenario.commit(store, 1).await?;
        if revision.0.is_multiple_of(40) {
            store.write_snapshot(&scenario.state().to_snapshot(at(revision))).await?;
        }
    }
    Ok(scenario)
}

async fn destination(database: &dyn Database) -> Result<Arc<dyn Transfer>, StoreError> {
    database.open(&cluster("moved")).await
}

async fn assert_same(from: &dyn Transfer, to: &dyn Transfer) -> Outcome {
    assert_eq!(to.load().await?, from.load().await?);
    assert_eq!(to.history(&EVERYTHING).await?, from.history(&EVERYTHING).await?);
    assert_eq!(to.snapshots().await?, from.snapshots().await?);
    assert_eq!(to.identity().await?, from.identity().await?);
    Ok(())
}

/// State, history, snapshots, identity and documents; and the log goes on where it is now.
pub async fn a_moved_log_is_the_same_log(database: &dyn Database) -> Outcome {
    let (from, to) = (open(database).await?, destination(database).await?);
    let mut scenario = prepare(&*from, 90).await?;
    let moved = migrate(&cluster("moved"), &*from, &*to).await;
    assert!(matches!(&moved, Ok(moved) if moved.entries == 90 && moved.snapshots == 2 && moved.nodes > 0), "{moved:?}");
    assert_same(&*from, &*to).await?;
    let nodes = NodeDocument::all(&cluster("moved"), &scenario.state().membership);
    assert_eq!(to.repair_nodes(&nodes).await?, [], "the documents were moved too");
    to.claim("uid-1").await?;
    commit(&*to, &scenario.advance()).await?;
    assert_eq!(destination(database).await?.load().await?, *scenario.state());
    Ok(())
}

/// What is left begins at a snapshot.
pub async fn a_log_whose_start_was_forgotten_is_moved_too(database: &dyn Database) -> Outcome {
    let (from, to) = (open(database).await?, destination(database).await?);
    prepare(&*from, 90).await?;
    assert!(from.prune(Retention { age: Duration::ZERO, entries: 0 }, Timestamp::MAX).await? > 0);
    let moved = migrate(&cluster("moved"), &*from, &*to).await;
    assert!(moved.is_ok(), "{moved:?}");
    assert_same(&*from, &*to).await
}

/// Not even over a part of one.
pub async fn a_log_is_not_written_over(database: &dyn Database) -> Outcome {
    let (from, to) = (open(database).await?, destination(database).await?);
    prepare(&*from, 10).await?;
    let theirs = Scenario::new(9).commit(&*to, 1).await?;
    for _ in 0..2 {
        let error = migrate(&cluster("moved"), &*from, &*to).await;
        assert!(matches!(&error, Err(MigrateError::Write { source: StoreError::Occupied { .. } })), "{error:?}");
    }
    assert_eq!(to.history(&EVERYTHING).await?, theirs);
    Ok(())
}

/// Every place where an import can end is one that nobody mistakes for a whole log.
pub async fn an_interrupted_move_cannot_be_used_and_starts_afresh(database: &dyn Database) -> Outcome {
    let (from, to) = (open(database).await?, destination(database).await?);
    let mut scenario = prepare(&*from, 90).await?;
    let entries = from.page(Revision(u64::MAX), 50).await?;
    let mut other = Scenario::new(77);
    let stray = other.advance();
    let snapshots = from.snapshots().await?;
    let snapshot = snapshots.into_iter().next_back().expect("there are snapshots");
    let steps = [
        ImportStep::Begin,
        ImportStep::Entries(entries),
        ImportStep::Entries(vec![stray]),
        ImportStep::Snapshot(Box::new(snapshot)),
    ];
    let next = scenario.advance();
    for step in steps {
        to.import(step).await?;
        let reopened = destination(database).await?;
        for error in [reopened.load().await.err(), reopened.append(&next).await.err(), reopened.claim("u").await.err()]
        {
            assert!(matches!(&error, Some(StoreError::Incomplete { .. })), "{error:?}");
        }
    }
    let moved = migrate(&cluster("moved"), &*from, &*to).await;
    assert!(moved.is_ok(), "{moved:?}");
    assert_same(&*from, &*to).await
}
