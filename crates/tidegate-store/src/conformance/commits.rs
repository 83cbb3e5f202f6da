//! A commit is the insert of the next revision, and its key is the compare-and-set.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::log::{LogEntry, LogState, ReplayError};
use tidegate_core::position::Revision;

use super::scenario::Scenario;
use super::{Database, Outcome, open};
use crate::{HistoryQuery, StoreError, Transfer, commit};

/// How many processes race.
const RACERS: usize = 8;

/// Nothing was written yet.
pub async fn an_empty_store_is_the_empty_state(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    assert_eq!(store.load().await?, LogState::default());
    assert_eq!(store.newest().await?, None);
    assert_eq!(store.entry(Revision(1)).await?, None);
    assert_eq!(store.history(&HistoryQuery { node: None, limit: 10 }).await?, []);
    Ok(())
}

/// Every field survives, to the nanosecond and the last quotation mark.
pub async fn an_entry_is_read_back_as_it_was_written(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let entries = Scenario::new(1).commit(&*store, 30).await?;
    assert!(entries.iter().any(|e| e.changes.len() > 1), "the scenario is worth reading back");
    assert!(entries.iter().any(|e| !e.orders.is_empty()) && entries.iter().any(|e| !e.repairs.is_empty()));
    for entry in &entries {
        assert_eq!(store.entry(entry.revision).await?.as_ref(), Some(entry));
    }
    assert_eq!(store.newest().await?.as_ref(), entries.last());
    assert_eq!(store.entry(Revision(31)).await?, None);
    Ok(())
}

/// Everybody offers their own next entry at once; one is in the log, and only its writer was told so.
pub async fn one_of_many_racers_wins_each_revision(database: &dyn Database) -> Outcome {
    let mut stores = Vec::new();
    for _ in 0..RACERS {
        stores.push(open(database).await?);
    }
    for _ in 0..15 {
        let state = stores.first().expect("there are racers").load().await?;
        let won = race(&stores, &Scenario::resume(0, state.clone())).await;
        assert_eq!(won.len(), 1, "one racer wins: {:?}", won.iter().map(|e| &e.holder).collect::<Vec<_>>());
        let winner = won.first().expect("somebody won");
        for store in &stores {
            assert_eq!(store.newest().await?.as_ref(), Some(winner));
        }
        assert_eq!(winner.revision, state.position.revision.next());
    }
    Ok(())
}

async fn race(stores: &[Arc<dyn Transfer>], scenario: &Scenario) -> Vec<LogEntry> {
    let mut racers = tokio::task::JoinSet::new();
    for (number, store) in stores.iter().enumerate() {
        let entry = scenario.proposal(&format!("racer-{number}"), &format!("w{number}"));
        let store = Arc::clone(store);
        racers.spawn(async move { (commit(&*store, &entry).await, entry) });
    }
    let mut won = Vec::new();
    while let Some(ended) = racers.join_next().await {
        match ended.expect("no racer panics") {
            (Ok(()), entry) => won.push(entry),
            (Err(error), entry) => assert!(
                matches!(error, StoreError::Taken { revision } if revision == entry.revision),
                "a loser hears that the revision is taken, not {error}"
            ),
        }
    }
    won
}

/// The answer to a commit was lost, so its caller sends the very same entry again, even much later.
pub async fn a_commit_that_is_repeated_succeeds(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(2);
    let entries = scenario.commit(&*store, 5).await?;
    for entry in &entries {
        commit(&*store, entry).await?;
    }
    assert_eq!(store.load().await?, *scenario.state(), "a repetition adds nothing");
    Ok(())
}

/// The caller's patience ended at some moment of the commit; the repetition finds out what became of it.
pub async fn a_commit_whose_caller_gave_up_can_be_repeated(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(3);
    for patience in 0..60 {
        let entry = scenario.advance();
        let attempt = commit(&*store, &entry);
        let _gave_up = tokio::time::timeout(Duration::from_micros(50 * patience), attempt).await;
        commit(&*store, &entry).await?;
    }
    assert_eq!(store.load().await?, *scenario.state(), "each entry is there once");
    Ok(())
}

/// Somebody else of the same term wrote something else: not ours, and not a fence.
pub async fn other_content_is_a_conflict(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let scenario = Scenario::new(4);
    let (ours, theirs) = (scenario.proposal("us", "w1"), scenario.proposal("them", "w1"));
    commit(&*store, &theirs).await?;
    let error = commit(&*store, &ours).await;
    assert!(matches!(error, Err(StoreError::Taken { revision: Revision(1) })), "{error:?}");
    assert_eq!(store.newest().await?, Some(theirs));
    Ok(())
}

/// A revision may not be left out, and the attempt leaves no trace.
pub async fn a_gap_is_refused(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(5);
    scenario.commit(&*store, 3).await?;
    let before = scenario.state().clone();
    scenario.advance();
    let error = commit(&*store, &scenario.advance()).await;
    let missing = ReplayError::Gap { expected: Revision(4), found: Revision(5) };
    assert!(
        matches!(&error, Err(StoreError::Damaged { source, cure }) if *source == missing && !cure.is_empty()),
        "{error:?}"
    );
    assert_eq!(store.load().await?, before);
    Ok(())
}
