//! The newest snapshot and the entries after it are the state: as if the whole log had been replayed.

use std::sync::Arc;

use tidegate_core::log::{LogEntry, LogState};
use tidegate_core::order::{OrderChange, OrderKind};
use tidegate_core::position::{Revision, Term};
use tokio::sync::Barrier;

use super::scenario::{Random, Scenario, at, name, uid};
use super::{Database, Outcome, cluster, open};
use crate::{Store, StoreError};

/// Random logs with snapshots at random points; each seed is a cluster of its own.
pub async fn loading_equals_replaying_from_zero(database: &dyn Database) -> Outcome {
    for seed in 0..12 {
        let store = database.open(&cluster(&format!("c{seed}"))).await?;
        let mut scenario = Scenario::new(seed);
        let mut random = Random::new(seed, Revision(0));
        let mut replayed = LogState::default();
        for _ in 0..40 {
            for entry in scenario.commit(&*store, 1).await? {
                replayed.append(&entry).expect("the entries follow each other");
            }
            if random.below(8) == 0 {
                store.write_snapshot(&replayed.to_snapshot(at(replayed.position.revision))).await?;
            }
            assert_eq!(store.load().await?, replayed, "seed {seed}, {}", replayed.position);
        }
    }
    Ok(())
}

/// A handle that is closed takes nothing with it.
pub async fn closing_and_opening_changes_nothing(database: &dyn Database) -> Outcome {
    let mut scenario = Scenario::new(7);
    for round in 0..5 {
        let store = open(database).await?;
        assert_eq!(store.load().await?, *scenario.state(), "round {round}");
        scenario.commit(&*store, 7).await?;
        store.write_snapshot(&scenario.state().to_snapshot(at(scenario.state().position.revision))).await?;
        scenario.commit(&*store, 1).await?;
    }
    Ok(())
}

/// Writing a snapshot again is fine; one of an earlier revision does not hide a newer one.
pub async fn a_snapshot_may_be_written_again_and_out_of_order(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(8);
    scenario.commit(&*store, 5).await?;
    let early = scenario.state().to_snapshot(at(Revision(5)));
    scenario.commit(&*store, 5).await?;
    let late = scenario.state().to_snapshot(at(Revision(10)));
    for snapshot in [&late, &late, &early, &late] {
        store.write_snapshot(snapshot).await?;
        assert_eq!(store.load().await?, *scenario.state());
    }
    Ok(())
}

/// A snapshot of another membership, another term or a revision that is not there.
pub async fn a_snapshot_that_the_log_denies_is_refused(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(9);
    scenario.commit(&*store, 5).await?;
    let sound = scenario.state().to_snapshot(at(Revision(5)));
    assert!(!sound.membership.members().is_empty(), "the scenario is worth a snapshot");

    let mut emptied = sound.clone();
    emptied.membership = LogState::default().membership;
    let mut disordered = sound.clone();
    let order = OrderChange {
        uid: uid("u-w1"),
        node: name("w1"),
        kind: OrderKind::Drain,
        by: String::new(),
        why: "never asked for".to_owned(),
    };
    disordered.orders.apply(&order, at(Revision(5)));
    let mut elsewhen = sound.clone();
    elsewhen.position.revision = Revision(6);
    let mut usurped = sound.clone();
    usurped.position.term = Term(99);
    for wrong in [emptied, disordered, elsewhen, usurped] {
        let error = store.write_snapshot(&wrong).await;
        assert!(matches!(error, Err(StoreError::Corrupt { .. })), "{error:?}");
    }
    assert_eq!(store.load().await?, *scenario.state());
    Ok(())
}

/// How many processes read while one writes.
const READERS: usize = 3;

/// While one process writes, others load: each sees the state after some revision, and time never goes back.
pub async fn readers_see_whole_revisions(database: &dyn Database) -> Outcome {
    let mut scenario = Scenario::new(10);
    let mut states = vec![scenario.state().clone()];
    let mut entries = Vec::new();
    for _ in 0..80 {
        entries.push(scenario.advance());
        states.push(scenario.state().clone());
    }
    let states = Arc::new(states);
    let started = Arc::new(Barrier::new(READERS + 1));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read_until_the_end(open(database).await?, Arc::clone(&states), Arc::clone(&started)));
    }
    let (some, rest) = entries.split_at(10);
    let store = open(database).await?;
    write_all(&*store, some, &states).await?;
    started.wait().await;
    write_all(&*store, rest, states.get(some.len()..).unwrap_or_default()).await?;
    for seen in readers.join_all().await {
        assert!(seen? >= 2, "a reader sees the log grow");
    }
    Ok(())
}

/// Commits the entries; `states` are the one before them and the one after each.
async fn write_all(store: &dyn Store, entries: &[LogEntry], states: &[LogState]) -> Outcome {
    for (entry, after) in entries.iter().zip(states.iter().skip(1)) {
        store.append(entry).await?;
        if entry.revision.0.is_multiple_of(9) {
            store.write_snapshot(&after.to_snapshot(entry.at)).await?;
        }
    }
    Ok(())
}

/// Answers how many different revisions were seen.
async fn read_until_the_end(
    store: Arc<dyn Store>,
    states: Arc<Vec<LogState>>,
    started: Arc<Barrier>,
) -> Result<usize, StoreError> {
    let mut seen = Vec::new();
    loop {
        let loaded = store.load().await?;
        let revision = loaded.position.revision;
        let expected = usize::try_from(revision.0).ok().and_then(|index| states.get(index));
        assert_eq!(Some(&loaded), expected, "what is read is the state after a whole revision");
        assert!(seen.last().is_none_or(|last| *last <= revision), "a reader never goes back in time");
        if seen.is_empty() {
            started.wait().await;
        }
        seen.push(revision);
        if Some(&loaded) == states.last() {
            seen.dedup();
            return Ok(seen.len());
        }
    }
}
