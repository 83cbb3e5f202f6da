//! Which guard holds what, and since when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_core::guard::{Guard, Hold};
use tidegate_core::ids::{ListenerName, NodeName};
use tidegate_core::ledger::Ledger;
use tidegate_core::status::GuardStatus;

/// A node that is held, or nothing for a publication that is.
pub(super) type Held = (Guard, Option<NodeName>);

/// Listeners without an active node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Starved {
    /// They keep the recorded state from being published.
    pub(crate) blocking: Vec<ListenerName>,
    /// It is recorded that no node carries them; they are published like that.
    pub(crate) vacant: Vec<ListenerName>,
}

impl Starved {
    fn is_empty(&self) -> bool {
        self.blocking.is_empty() && self.vacant.is_empty()
    }

    fn reason(&self) -> String {
        let names = |all: &[ListenerName]| all.iter().map(ListenerName::as_str).collect::<Vec<_>>().join(", ");
        let blocking = (!self.blocking.is_empty()).then(|| {
            let names = names(&self.blocking);
            format!("no node is active for listener {names}: nothing is published until one is (or set allowEmpty on the listener)")
        });
        let vacant = (!self.vacant.is_empty()).then(|| {
            let names = names(&self.vacant);
            format!("no node carries listener {names}: nobody is behind it (`tidegate explain NODE` says why; allowEmpty means that this is fine)")
        });
        blocking.into_iter().chain(vacant).collect::<Vec<_>>().join("; ")
    }
}

/// Groups the holds by guard. A listener without a node is one of guard never-empty's, though no node is held for it.
pub(super) fn guard_statuses(
    holds: &[Hold],
    starved: &Starved,
    ledger: &mut Ledger<Held>,
    now: Timestamp,
) -> Vec<GuardStatus> {
    let unpublished = (!starved.is_empty()).then_some((Guard::NeverEmpty, None));
    let held = holds.iter().map(|h| (h.guard, Some(h.node.clone()))).chain(unpublished);
    ledger.update(held, now);
    let mut by_guard: BTreeMap<Guard, GuardStatus> = BTreeMap::new();
    if !starved.is_empty() {
        let since = ledger.since(&(Guard::NeverEmpty, None)).unwrap_or(now);
        let (guard, holding, reason) = (Guard::NeverEmpty, Vec::new(), starved.reason());
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
