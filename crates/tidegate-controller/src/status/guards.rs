//! Which guard holds what, and since when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_core::guard::{Guard, Hold};
use tidegate_core::ids::{ListenerName, NodeName};
use tidegate_core::ledger::Ledger;
use tidegate_core::status::GuardStatus;

/// A node that is held, or nothing for a publication that is.
pub(super) type Held = (Guard, Option<NodeName>);

/// Groups the holds by guard. `starved` are listeners without any active node, which keep a state
/// from being published at all.
pub(super) fn guard_statuses(
    holds: &[Hold],
    starved: &[ListenerName],
    ledger: &mut Ledger<Held>,
    now: Timestamp,
) -> Vec<GuardStatus> {
    let unpublished = (!starved.is_empty()).then_some((Guard::NeverEmpty, None));
    let held = holds.iter().map(|h| (h.guard, Some(h.node.clone()))).chain(unpublished);
    ledger.update(held, now);
    let mut by_guard: BTreeMap<Guard, GuardStatus> = BTreeMap::new();
    if !starved.is_empty() {
        let since = ledger.since(&(Guard::NeverEmpty, None)).unwrap_or(now);
        let (guard, holding, reason) = (Guard::NeverEmpty, Vec::new(), starved_reason(starved));
        by_guard.insert(guard, GuardStatus { guard, holding, since, reason });
    }
    for hold in holds {
        let since = ledger.since(&(hold.guard, Some(hold.node.clone()))).unwrap_or(now);
        let status = by_guard.entry(hold.guard).or_insert_with(|| GuardStatus {
            guard: hold.guard,
            holding: Vec::new(),
            since,
            reason: hold.reason.clone(),
        });
        status.since = status.since.min(since);
        status.holding.push(hold.node.clone());
    }
    by_guard.into_values().collect()
}

fn starved_reason(starved: &[ListenerName]) -> String {
    let names: Vec<&str> = starved.iter().map(ListenerName::as_str).collect();
    format!(
        "no node is active for listener {}: nothing is published until one is (or set allowEmpty on the listener)",
        names.join(", ")
    )
}
