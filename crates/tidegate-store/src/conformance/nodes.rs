//! The read model: one document for each active node, exactly as the log has it.
//!
//! The trait does not read it, because nothing is decided by it; but a repair counts every difference.

use std::slice;
use std::time::Duration;

use tidegate_core::membership::MemberState;
use tidegate_core::position::Revision;
use tidegate_core::time::after;

use super::scenario::{Scenario, at, member, uid};
use super::{Database, Outcome, open};
use crate::{NodeDocument, NodeDocumentId};

fn document(node: &str, address: u64) -> NodeDocument {
    let active = member(node, address, MemberState::Active, at(Revision(1)));
    NodeDocument::of(&uid(&format!("u-{node}")), &active).expect("an active member has a document")
}

/// What each commit changes is all that has to be written.
pub async fn following_the_log_leaves_nothing_to_repair(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(1);
    for _ in 0..40 {
        for entry in scenario.commit(&*store, 1).await? {
            let (active, removed) = NodeDocument::of_changes(&entry.changes);
            store.write_nodes(&active, &removed).await?;
        }
        let repairs = store.repair_nodes(&NodeDocument::all(&scenario.state().membership)).await?;
        assert_eq!(repairs, 0, "{}", scenario.state().position);
    }
    assert!(scenario.state().membership.active() > 1, "the scenario has active nodes");
    Ok(())
}

/// Also when a node is removed that was never there, and when nothing is to be done.
pub async fn writing_twice_is_writing_once(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let (one, two) = (document("w1", 1), document("w2", 2));
    let never = NodeDocumentId::of(&uid("u-never"));
    for _ in 0..2 {
        store.write_nodes(&[one.clone(), two.clone()], slice::from_ref(&never)).await?;
    }
    store.write_nodes(&[], &[]).await?;
    assert_eq!(store.repair_nodes(&[one.clone(), two.clone()]).await?, 0);
    for _ in 0..2 {
        store.write_nodes(&[], slice::from_ref(&two.id)).await?;
    }
    assert_eq!(store.repair_nodes(&[one]).await?, 0);
    Ok(())
}

/// Missing, extra and edited documents, each once; afterwards nothing is left to repair.
pub async fn a_repair_counts_what_it_puts_right(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let right: Vec<_> = (1..=5).map(|n| document(&format!("w{n}"), n)).collect();
    assert_eq!(store.repair_nodes(&right).await?, 5, "all are missing at first");
    assert_eq!(store.repair_nodes(&right).await?, 0);

    let mut later = document("w3", 3);
    later.since = after(later.since, Duration::from_nanos(1));
    let mut renamed = document("w4", 4);
    "w4".clone_into(&mut renamed.hostname);
    let edited = [document("w2", 99), later, renamed];
    let extra = [document("x1", 1), document("x2", 2)];
    let missing = NodeDocumentId::of(&uid("u-w1"));
    store.write_nodes(&[&edited[..], &extra[..]].concat(), &[missing]).await?;
    assert_eq!(store.repair_nodes(&right).await?, 6, "1 missing, 3 edited, 2 extra");
    assert_eq!(store.repair_nodes(&right).await?, 0);
    assert_eq!(store.repair_nodes(&[]).await?, 5, "all are extra at last");
    Ok(())
}
