//! The pure half of reading a log: what may follow what, what may be trusted, what may be forgotten.

use jiff::Timestamp;
use serde::Deserialize;
use tidegate_core::hash::ContentHash;
use tidegate_core::log::{LogEntry, LogState, ReplayError, Snapshot};
use tidegate_core::position::{Position, Revision, Term};
use tidegate_core::time::elapsed;

use crate::{Retention, StoreError};

/// What a person can do when the log itself is wrong.
pub(crate) const LOG_CURE: &str = "stop tidegate and restore a backup of the store; traffic is not affected meanwhile, \
     load balancers keep what they serve";

/// Whether `entry` may be inserted after the entry at `newest`.
///
/// An older term is fenced here as well, for the leader that lost its term and then read the log again.
pub(crate) fn check_next(newest: Position, entry: &LogEntry) -> Result<(), StoreError> {
    let expected = newest.revision.next();
    if entry.revision < expected {
        return Err(StoreError::Taken { revision: entry.revision });
    }
    if entry.revision > expected {
        let cure = "restart tidegate, so that it reads the log again; if the store was replaced by an older copy, \
                    restore the newer one"
            .to_owned();
        return Err(StoreError::Damaged { source: ReplayError::Gap { expected, found: entry.revision }, cure });
    }
    if entry.term < newest.term {
        return Err(StoreError::Fenced { offered: entry.position(), found: newest });
    }
    Ok(())
}

/// Adds the entries one after the other to the state they follow.
pub(crate) fn replay<E: From<StoreError>>(
    mut state: LogState,
    entries: impl Iterator<Item = Result<LogEntry, E>>,
) -> Result<LogState, E> {
    for entry in entries {
        state.append(&entry?).map_err(|source| StoreError::Damaged { source, cure: LOG_CURE.to_owned() })?;
    }
    Ok(state)
}

/// What a load answers when a snapshot had to be skipped: the log may add up without it, or the snapshot is what has
/// to be cured.
pub(crate) fn settle(
    loaded: Result<LogState, StoreError>,
    skipped: Option<StoreError>,
) -> Result<LogState, StoreError> {
    match (loaded, skipped) {
        (Ok(state), Some(error)) => {
            tracing::warn!(%error, "a snapshot was skipped: the log adds up without it");
            Ok(state)
        }
        (Err(StoreError::Damaged { source: ReplayError::Gap { .. }, .. }), Some(error)) => Err(error),
        (loaded, _) => loaded,
    }
}

/// What an entry says about the state after it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Voucher {
    term: Term,
    state_hash: ContentHash,
}

impl From<&LogEntry> for Voucher {
    fn from(entry: &LogEntry) -> Self {
        Self { term: entry.term, state_hash: entry.state_hash }
    }
}

/// Why a snapshot does not agree with the entry it was taken of. The entry at a snapshot's revision is never pruned,
/// so that its hash can vouch for the snapshot.
pub(crate) fn snapshot_problem(snapshot: &Snapshot, entry: Option<Voucher>) -> Option<String> {
    let Some(entry) = entry else {
        return Some(format!("the log has no entry of revision {}", snapshot.position.revision));
    };
    if entry.term != snapshot.position.term {
        return Some(format!("it says term {}, the log says term {}", snapshot.position.term, entry.term));
    }
    let hash = snapshot.state_hash();
    (hash != entry.state_hash)
        .then(|| format!("its state hashes to {}, the log says {}", hash.short(), entry.state_hash.short()))
}

/// Which entries may be forgotten: a stretch from the start of the log, never one in its middle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PruneRule {
    retention: Retention,
    now: Timestamp,
    below: Revision,
}

impl PruneRule {
    /// The rule for a log that ends at `newest` and whose newest sound snapshot was taken at `snapshot`.
    pub(crate) fn new(retention: Retention, now: Timestamp, snapshot: Revision, newest: Revision) -> Self {
        let by_count = Revision(newest.0.saturating_sub(retention.entries).saturating_add(1));
        Self { retention, now, below: snapshot.min(by_count) }
    }

    /// Whether the entry may go, provided that all before it may. A clock that ran ahead when the entry was
    /// written makes it look young: then it stays longer.
    pub(crate) fn allows(&self, revision: Revision, at: Timestamp) -> bool {
        revision < self.below && elapsed(at, self.now) >= self.retention.age
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(term: u64, revision: u64) -> LogEntry {
        let position = Position { term: Term(term), revision: Revision(revision - 1) };
        let state = LogState { position, ..LogState::default() };
        state.next_entry(Term(term), "test", Timestamp::UNIX_EPOCH, Vec::new())
    }

    #[test]
    fn only_the_next_revision_of_this_or_a_later_term_may_follow() {
        let newest = Position { term: Term(2), revision: Revision(5) };
        assert!(check_next(newest, &entry(2, 6)).is_ok());
        assert!(check_next(newest, &entry(3, 6)).is_ok());
        assert!(matches!(check_next(newest, &entry(2, 5)), Err(StoreError::Taken { .. })));
        assert!(matches!(check_next(newest, &entry(1, 6)), Err(StoreError::Fenced { .. })));
        assert!(matches!(check_next(newest, &entry(2, 7)), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn pruning_stops_at_whichever_limit_keeps_more() {
        let rule = |entries, age, snapshot| {
            let retention = Retention { entries, age: Duration::from_secs(age) };
            PruneRule::new(retention, Timestamp::from_second(100).unwrap(), Revision(snapshot), Revision(20))
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(rule(0, 0, 10).allows(Revision(9), at(100)));
        assert!(!rule(0, 0, 10).allows(Revision(10), at(0)), "the snapshot's own entry vouches for it");
        assert!(rule(15, 0, 10).allows(Revision(5), at(0)));
        assert!(!rule(15, 0, 10).allows(Revision(6), at(0)), "6..=20 are the 15 to keep");
        assert!(rule(0, 50, 10).allows(Revision(5), at(50)));
        assert!(!rule(0, 50, 10).allows(Revision(5), at(51)));
        assert!(!rule(u64::MAX, 0, 10).allows(Revision(1), at(0)));
    }
}
