//! What may be forgotten: the start of the log, as far as a snapshot and the retention allow.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::position::Revision;

use super::scenario::{Scenario, at};
use super::{Database, Outcome, open};
use crate::{HistoryQuery, Retention, Store, StoreError};

const NOTHING: Retention = Retention { age: Duration::ZERO, entries: 0 };
const LONG_AFTER: Timestamp = Timestamp::MAX;

/// The revisions that are left, oldest first.
async fn left(store: &dyn Store) -> Result<Vec<u64>, StoreError> {
    let mut entries = store.history(&HistoryQuery { node: None, limit: usize::MAX }).await?;
    entries.reverse();
    Ok(entries.iter().map(|entry| entry.revision.0).collect())
}

fn revisions(range: RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

/// A log of so many entries, with a snapshot at one of them.
async fn prepare(store: &dyn Store, snapshot: usize, entries: usize) -> Result<Scenario, StoreError> {
    let mut scenario = Scenario::new(1);
    scenario.commit(store, snapshot).await?;
    store.write_snapshot(&scenario.state().to_snapshot(at(scenario.state().position.revision))).await?;
    scenario.commit(store, entries - snapshot).await?;
    Ok(scenario)
}

/// The entries are all that there is.
pub async fn without_a_snapshot_nothing_is_forgotten(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    Scenario::new(2).commit(&*store, 10).await?;
    assert_eq!(store.prune(NOTHING, LONG_AFTER).await?, 0);
    assert_eq!(left(&*store).await?, revisions(1..=10));
    Ok(())
}

/// Even with no retention at all; the snapshot's own entry stays too, to vouch for it.
pub async fn what_follows_the_newest_snapshot_stays(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let scenario = prepare(&*store, 12, 20).await?;
    assert_eq!(store.prune(NOTHING, LONG_AFTER).await?, 11);
    assert_eq!(left(&*store).await?, revisions(12..=20));
    assert_eq!(store.prune(NOTHING, LONG_AFTER).await?, 0, "there is nothing left to forget");
    assert_eq!(store.load().await?, *scenario.state());
    Ok(())
}

/// By number, by age, and both.
pub async fn whichever_limit_keeps_more_decides(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    prepare(&*store, 18, 20).await?;
    let now = at(Revision(20));
    let old = Duration::from_secs;
    // An entry is written every second: 14 is 6 s old.
    for (entries, age, first) in [(20, 0, 1), (0, 20, 1), (17, 0, 4), (0, 15, 6), (10, 13, 8), (13, 9, 8), (10, 5, 11)]
    {
        store.prune(Retention { entries, age: old(age) }, now).await?;
        assert_eq!(left(&*store).await?, revisions(first..=20), "{entries} entries, {age} s");
    }
    Ok(())
}

/// Commits, snapshots, loads and prunes go on, and a forgotten revision stays taken.
pub async fn a_pruned_log_goes_on(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(3);
    let first = scenario.commit(&*store, 1).await?;
    for _ in 0..6 {
        scenario.commit(&*store, 10).await?;
        store.write_snapshot(&scenario.state().to_snapshot(at(scenario.state().position.revision))).await?;
        store.prune(NOTHING, LONG_AFTER).await?;
        assert_eq!(open(database).await?.load().await?, *scenario.state());
    }
    assert_eq!(left(&*store).await?, [61]);
    for entry in &first {
        let error = store.append(entry).await;
        assert!(matches!(error, Err(StoreError::Taken { revision: Revision(1) })), "{error:?}");
    }
    Ok(())
}
