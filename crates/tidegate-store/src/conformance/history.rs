//! The audit trail, as `tidegate history` asks for it.

use super::scenario::{Scenario, name};
use super::{Database, Outcome, open};
use crate::{HistoryQuery, commit};

/// The order and the limit.
pub async fn the_newest_entries_come_first_up_to_the_limit(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut entries = Scenario::new(1).commit(&*store, 20).await?;
    entries.reverse();
    for limit in [0, 1, 7, 20, 1_000] {
        let found = store.history(&HistoryQuery { node: None, limit }).await?;
        let expected: Vec<_> = entries.iter().take(limit).cloned().collect();
        assert_eq!(found, expected, "limit {limit}");
    }
    Ok(())
}

/// The limit counts what was asked for, not what had to be looked at; a name is compared as a whole.
pub async fn a_node_is_found_however_long_ago(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(2);
    let rare = scenario.proposal("first", "rare");
    commit(&*store, &rare).await?;
    scenario = Scenario::resume(2, store.load().await?);
    let mut entries = vec![rare.clone()];
    entries.extend(scenario.commit(&*store, 600).await?);
    entries.reverse();

    let rarely = store.history(&HistoryQuery { node: Some(name("rare")), limit: 10 }).await?;
    assert_eq!(rarely, [rare]);
    for (node, limit) in [("w1", 5), ("w1", 1_000), ("w11", 1_000), ("w99", 1_000)] {
        let query = HistoryQuery { node: Some(name(node)), limit };
        let of_node = entries.iter().filter(|e| {
            e.changes.iter().any(|c| c.node.as_str() == node) || e.orders.iter().any(|o| o.node.as_str() == node)
        });
        let expected: Vec<_> = of_node.take(limit).cloned().collect();
        assert_eq!(store.history(&query).await?, expected, "{query:?}");
    }
    Ok(())
}
