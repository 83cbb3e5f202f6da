//! Several clusters may share a database.

use std::time::Duration;

use jiff::Timestamp;

use super::scenario::{Scenario, at, name};
use super::{Database, Outcome, cluster, open};
use crate::{HistoryQuery, NodeDocument, Retention, Store, StoreError};

/// Everything that one cluster can do, beside another that has the same revisions but other content.
pub async fn two_clusters_do_not_see_each_other(database: &dyn Database) -> Outcome {
    let (ours, theirs) = (open(database).await?, database.open(&cluster("prod2")).await?);
    let mut our_log = Scenario::new(1);
    our_log.commit(&*ours, 10).await?;
    let our_nodes = NodeDocument::all(&our_log.state().membership);
    assert!(!our_nodes.is_empty(), "there are nodes to see");
    ours.repair_nodes(&our_nodes).await?;

    busy_elsewhere(&*theirs).await?;
    assert_eq!(ours.load().await?, *our_log.state());
    assert_eq!(ours.newest().await?.map(|entry| entry.position()), Some(our_log.state().position));
    assert_eq!(ours.history(&HistoryQuery { node: None, limit: 100 }).await?.len(), 10);
    assert_eq!(ours.history(&HistoryQuery { node: Some(name("rare")), limit: 100 }).await?, []);
    assert_eq!(ours.repair_nodes(&our_nodes).await?, 0);
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
    assert_eq!(store.repair_nodes(&[]).await?, 0, "nodes of another cluster are not extra");
    assert_eq!(store.load().await?, *state);
    Ok(())
}
