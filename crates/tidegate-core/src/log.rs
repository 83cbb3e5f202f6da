//! The log of revisions: what was decided, when, by whom and why. The audit trail *is* the truth.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::eligibility::Rule;
use crate::hash::ContentHash;
use crate::ids::{NodeName, NodeUid};
use crate::membership::{Member, MemberState, Membership};
use crate::position::{Position, Revision, Term};

/// Where a node stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Takes new connections.
    Active,
    /// Keeps what it has, takes nothing new.
    Draining,
    /// In no pool.
    Out,
}

impl Phase {
    /// The phase of a member, or of a node that is none.
    pub fn of(member: Option<&Member>) -> Self {
        match member.map(|m| m.state) {
            None => Self::Out,
            Some(MemberState::Active) => Self::Active,
            Some(MemberState::Draining { .. }) => Self::Draining,
        }
    }

    /// The word used in output and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Out => "out",
        }
    }
}

/// One node's step from one phase to another (or to other addresses in the same phase).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Which node, for ever.
    pub uid: NodeUid,
    /// Its name.
    pub node: NodeName,
    /// Where it stood.
    pub from: Phase,
    /// The member it becomes; absent: it is removed.
    pub to: Option<Member>,
    /// The rule that decided.
    pub rule: Rule,
    /// What the rule saw, for people.
    pub observation: String,
}

impl Change {
    /// Where the node stands afterwards.
    pub fn phase(&self) -> Phase {
        Phase::of(self.to.as_ref())
    }
}

/// One commit. An entry without changes is an election (or the very first entry).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Its place in the log: one more than the entry before.
    pub revision: Revision,
    /// The leadership that wrote it.
    pub term: Term,
    /// Who wrote it: host name and process.
    pub holder: String,
    /// When.
    pub at: Timestamp,
    /// What changed.
    pub changes: Vec<Change>,
    /// Hash of the membership after it.
    pub state_hash: ContentHash,
}

impl LogEntry {
    /// Its place in the history.
    pub fn position(&self) -> Position {
        Position { term: self.term, revision: self.revision }
    }
}

/// The whole membership at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The entry after which it was taken.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// The membership after that entry.
    pub membership: Membership,
}

/// A log that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// A revision is missing.
    #[error("revision {expected} is missing from the log (found {found} instead)")]
    Gap {
        /// The revision that should come next.
        expected: Revision,
        /// The revision that came.
        found: Revision,
    },
    /// A later entry has an earlier term.
    #[error("revision {revision} was written in term {found}, after an entry of term {before}")]
    TermWentBack {
        /// The entry at fault.
        revision: Revision,
        /// The term of the entry before it.
        before: Term,
        /// Its own term.
        found: Term,
    },
    /// An entry does not add up to the state whose hash it carries.
    #[error("revision {revision} does not add up: the state after it hashes to {computed}, the log says {recorded}")]
    HashMismatch {
        /// The entry at fault.
        revision: Revision,
        /// What the log says.
        recorded: ContentHash,
        /// What the state hashes to.
        computed: ContentHash,
    },
}

/// The state that a log adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Of the newest entry.
    pub position: Position,
    /// After the newest entry.
    pub membership: Membership,
}

impl LogState {
    /// The state at a snapshot.
    pub fn from_snapshot(snapshot: Snapshot) -> Self {
        Self { position: snapshot.position, membership: snapshot.membership }
    }

    /// The state at this moment, as a snapshot.
    pub fn to_snapshot(&self, at: Timestamp) -> Snapshot {
        Snapshot { position: self.position, at, membership: self.membership.clone() }
    }

    /// The entry that would commit these changes in `term` on top of this state.
    pub fn next_entry(&self, term: Term, holder: &str, at: Timestamp, changes: Vec<Change>) -> LogEntry {
        let state_hash = self.membership.with(&changes).hash();
        LogEntry { revision: self.position.revision.next(), term, holder: holder.to_owned(), at, changes, state_hash }
    }

    /// The entry that opens the next term.
    pub fn election(&self, holder: &str, at: Timestamp) -> LogEntry {
        self.next_entry(self.position.term.next(), holder, at, Vec::new())
    }

    /// Adds the next entry, or says how it contradicts what came before; then nothing has changed.
    pub fn append(&mut self, entry: &LogEntry) -> Result<(), ReplayError> {
        let expected = self.position.revision.next();
        if entry.revision != expected {
            return Err(ReplayError::Gap { expected, found: entry.revision });
        }
        if entry.term < self.position.term {
            let (revision, before, found) = (entry.revision, self.position.term, entry.term);
            return Err(ReplayError::TermWentBack { revision, before, found });
        }
        let next = self.membership.with(&entry.changes);
        let computed = next.hash();
        if computed != entry.state_hash {
            return Err(ReplayError::HashMismatch { revision: entry.revision, recorded: entry.state_hash, computed });
        }
        *self = Self { position: entry.position(), membership: next };
        Ok(())
    }
}
