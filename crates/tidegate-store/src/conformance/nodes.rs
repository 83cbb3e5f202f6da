//! The read model: one document for each active node, exactly as the log has it.
//!
//! The trait does not read it, because nothing is decided by it; but a repair counts every difference.

use std::slice;
use std::time::Duration;

use tidegate_core::membership::MemberState;
use tidegate_core::position::Revision;
use tidegate_core::time::after;

use super::scenario::{Scenario, at, member, uid};
use super::{Database, Outcome, cluster, open};
use crate::{NodeDocument, NodeDocumentId, Repair, RepairKind};

fn document(node: &str, address: u64) -> NodeDocument {
    let active = member(node, address, MemberState::Active, at(Revision(1)));
    NodeDocument::of(&cluster("prod"), &uid(&format!("u-{node}")), &active).expect("an active member has a document")
}

/// What each commit changes is all that has to be written.
pub async fn following_the_log_leaves_nothing_to_repair(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let mut scenario = Scenario::new(1);
    for _ in 0..40 {
        for entry in scenario.commit(&*store, 1).await? {
            let (active, removed) = NodeDocument::of_changes(&cluster("prod"), &entry.changes);
            store.write_nodes(&active, &removed).await?;
        }
        let repairs = store.repair_nodes(&NodeDocument::all(&cluster("prod"), &scenario.state().membership)).await?;
        assert_eq!(repairs, [], "{}", scenario.state().position);
    }
    assert!(scenario.state().membership.active() > 1, "the scenario has active nodes");
    Ok(())
}

/// Also when a node is removed that was never there, and when nothing is to be done.
pub async fn writing_twice_is_writing_once(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let (one, two) = (document("w1", 1), document("w2", 2));
    let never = NodeDocumentId::of(&cluster("prod"), &uid("u-never"));
    for _ in 0..2 {
        store.write_nodes(&[one.clone(), two.clone()], slice::from_ref(&never)).await?;
    }
    store.write_nodes(&[], &[]).await?;
    assert_eq!(store.repair_nodes(&[one.clone(), two.clone()]).await?, []);
    for _ in 0..2 {
        store.write_nodes(&[], slice::from_ref(&two.id)).await?;
    }
    assert_eq!(store.repair_nodes(&[one]).await?, []);
    Ok(())
}

/// The kinds and nodes of repairs.
fn told(repairs: &[Repair]) -> Vec<(RepairKind, &str)> {
    repairs.iter().map(|repair| (repair.kind, repair.node.as_str())).collect()
}

/// Missing, foreign and edited documents, each once; afterwards nothing is left to repair.
pub async fn a_repair_tells_what_it_puts_right(database: &dyn Database) -> Outcome {
    use RepairKind::{Altered, Foreign, Missing};
    let store = open(database).await?;
    let right: Vec<_> = (1..=5).map(|n| document(&format!("w{n}"), n)).collect();
    let first = store.repair_nodes(&right).await?;
    let all = ["w1", "w2", "w3", "w4", "w5"];
    assert_eq!(told(&first), all.map(|node| (Missing, node)), "all are missing at first");
    assert_eq!(store.repair_nodes(&right).await?, []);

    let mut later = document("w3", 3);
    later.since = after(later.since, Duration::from_nanos(1));
    let mut renamed = document("w4", 4);
    "w4".clone_into(&mut renamed.hostname);
    let edited = [document("w2", 99), later, renamed];
    let foreign = document("x1", 1);
    let missing = NodeDocumentId::of(&cluster("prod"), &uid("u-w1"));
    store.write_nodes(&[&edited[..], slice::from_ref(&foreign)].concat(), &[missing]).await?;
    let repairs = store.repair_nodes(&right).await?;
    let expected = [(Missing, "w1"), (Altered, "w2"), (Altered, "w3"), (Altered, "w4"), (Foreign, "x1")];
    assert_eq!(told(&repairs), expected);
    assert_eq!(repairs.last().map(|repair| repair.id.as_str()), Some(foreign.id.as_str()));
    assert_eq!(store.repair_nodes(&right).await?, []);
    assert_eq!(store.repair_nodes(&[]).await?.len(), 5, "all are foreign at last");
    Ok(())
}

/// A change of the whole cluster at once: written, edited, removed.
pub async fn many_documents_are_written_at_once(database: &dyn Database) -> Outcome {
    let store = open(database).await?;
    let first: Vec<_> = (0..300).map(|n| document(&format!("w{n}"), n % 200)).collect();
    store.write_nodes(&first, &[]).await?;
    assert_eq!(store.repair_nodes(&first).await?, []);
    let moved: Vec<_> = (0..300).map(|n| document(&format!("w{n}"), (n + 1) % 200)).collect();
    store.write_nodes(&moved, &[]).await?;
    assert_eq!(store.repair_nodes(&moved).await?, []);
    let removed: Vec<_> = moved.iter().skip(1).map(|document| document.id.clone()).collect();
    store.write_nodes(&[], &removed).await?;
    let left = moved.get(..1).unwrap_or_default();
    assert_eq!(store.repair_nodes(left).await?, []);
    Ok(())
}
