//! Several clusters may share a database, but not a name.

use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::class::ErrorClass;

use super::scenario::{Scenario, at, name};
use super::{Database, Outcome, cluster, open};
use crate::{HistoryQuery, NodeDocument, Retention, Store, StoreError};

/// Everything that one cluster can do, beside another that has the same revisions but other content.
pub async fn two_clusters_do_not_see_each_other(database: &dyn Database) -> Outcome {
    let (ours, theirs) = (open(database).await?, database.open(&cluster("prod2")).await?);
    let mut our_log = Scenario::new(1);
    our_log.commit(&*ours, 10).await?;
    let our_nodes = NodeDocument::all(&cluster("prod"), &our_log.state().membership);
    assert!(!our_nodes.is_empty(), "there are nodes to see");
    ours.repair_nodes(&our_nodes).await?;

    busy_elsewhere(&*theirs).await?;
    assert_eq!(ours.load().await?, *our_log.state());
    assert_eq!(ours.newest().await?.map(|entry| entry.position()), Some(our_log.state().position));
    assert_eq!(ours.history(&HistoryQuery { node: None, limit: 100 }).await?.len(), 10);
    assert_eq!(ours.history(&HistoryQuery { node: Some(name("rare")), limit: 100 }).await?, []);
    assert_eq!(ours.repair_nodes(&our_nodes).await?, []);
    our_log.commit(&*ours, 1).await?;
    Ok(())
}

async fn busy_elsewhere(store: &dyn Store) -> Result<(), StoreError> {
    let first = Scenario::new(2).proposal("them", "rare");
    store.append(&first).await?;
    let mut scenario = Scenario::resume(2, store.load().await?);
    scenario.commit(store, 20).await?;
    let state = scenario.state();
    store.write_snapshot(&state.to_snapshot(at(state.position.revision))).await?;
    store.prune(Retention { age: Duration::ZERO, entries: 0 }, Timestamp::MAX).await?;
    assert_eq!(store.repair_nodes(&[]).await?, [], "nodes of another cluster are not extra");
    assert_eq!(store.load().await?, *state);
    Ok(())
}

/// The first Kubernetes cluster that claims a name has it, for ever; another name is free.
pub async fn a_name_belongs_to_the_first_who_claims_it(database: &dyn Database) -> Outcome {
    let (ours, theirs) = (open(database).await?, open(database).await?);
    for _ in 0..2 {
        ours.claim("uid-1").await?;
    }
    Scenario::new(1).commit(&*ours, 3).await?;
    let before = ours.load().await?;
    let error = theirs.claim("uid-2").await.err();
    assert!(
        matches!(&error, Some(StoreError::OtherCluster { ours, theirs, .. }) if ours == "uid-2" && theirs == "uid-1"),
        "{error:?}"
    );
    assert_eq!(error.map(|error| error.class()), Some(ErrorClass::Permanent));
    assert_eq!(open(database).await?.load().await?, before);
    theirs.claim("uid-1").await?;
    database.open(&cluster("prod2")).await?.claim("uid-2").await?;
    Ok(())
}

/// Everybody claims at once: one uid is recorded, and whoever has another one hears of it.
pub async fn one_of_many_claims_wins(database: &dyn Database) -> Outcome {
    let mut claims = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = open(database).await?;
        claims.spawn(async move { store.claim(&format!("uid-{number}")).await });
    }
    let outcomes = claims.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let lost = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::OtherCluster { .. })));
    assert_eq!(lost.count(), 7, "{outcomes:?}");
    Ok(())
}
