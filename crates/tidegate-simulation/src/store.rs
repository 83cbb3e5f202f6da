//! The store's truth: the log, snapshots and the read model, with the compare-and-set of a unique key.

use std::collections::BTreeMap;

use tidegate_core::log::{LogEntry, LogState, ReplayError, Snapshot};
use tidegate_core::membership::Member;
use tidegate_core::mutant::{Mutant, planted};
use tidegate_core::position::Revision;
use tidegate_store::{NodeDocument, NodeDocumentId, StoreError};

use crate::world::State;

/// What the store keeps.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Vec<LogEntry>,
    snapshot: Option<Snapshot>,
    pub(crate) documents: BTreeMap<NodeDocumentId, NodeDocument>,
    /// Of which Kubernetes cluster this is the log.
    pub(crate) claimed_by: Option<String>,
}

impl Log {
    pub(crate) fn newest(&self) -> Option<&LogEntry> {
        self.entries.last()
    }

    pub(crate) fn entry(&self, revision: Revision) -> Option<&LogEntry> {
        let place = usize::try_from(revision.0).ok()?.checked_sub(1)?;
        self.entries.get(place)
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    pub(crate) fn keep_snapshot(&mut self, snapshot: Snapshot) {
        if self.snapshot.as_ref().is_none_or(|s| s.position < snapshot.position) {
            self.snapshot = Some(snapshot);
        }
    }

    /// The newest snapshot and the entries after it.
    pub(crate) fn replay(&self) -> Result<LogState, ReplayError> {
        let mut state = self.snapshot.clone().map(LogState::from_snapshot).unwrap_or_default();
        let from = usize::try_from(state.position.revision.0).unwrap_or(usize::MAX);
        for entry in self.entries.iter().skip(from) {
            state.append(entry)?;
        }
        Ok(state)
    }
}

impl State {
    /// An entry has arrived: whoever comes first has the revision.
    pub(crate) fn append(&mut self, entry: &LogEntry) -> Result<(), StoreError> {
        let next = self.log.newest().map_or(Revision(1), |newest| newest.revision.next());
        if entry.revision < next && !planted(Mutant::StoreOverwrites) {
            let now = self.now();
            self.trace.note(now, format_args!("refused {} of {}: taken", entry.position(), entry.holder));
            self.oracle.refused(entry);
            return Err(StoreError::Taken { revision: entry.revision });
        }
        if entry.revision > next {
            let source = ReplayError::Gap { expected: next, found: entry.revision };
            return Err(StoreError::Damaged { source, cure: "none: a controller left a gap".into() });
        }
        self.commit(entry);
        Ok(())
    }

    fn commit(&mut self, entry: &LogEntry) {
        let busy: Vec<(_, u64)> = entry
            .changes
            .iter()
            .filter_map(|c| self.oracle.log().membership.get(&c.uid))
            .map(|member| (member.clone(), self.connections(member)))
            .collect();
        let connections = |member: &Member| busy.iter().find(|(m, _)| m == member).map_or(0, |(_, n)| *n);
        let (oracle, mut moment) = self.judge();
        oracle.committed(&mut moment, entry, &connections);
        // Only the planted bug ever writes in the middle.
        let place = usize::try_from(entry.revision.0).unwrap_or(usize::MAX).saturating_sub(1);
        self.log.entries.truncate(place);
        self.log.entries.push(entry.clone());
    }
}
