//! The log of revisions: what was decided, when, by whom and why. The audit trail *is* the truth.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::eligibility::Rule;
use crate::guard::{OverrideChange, Overrides};
use crate::hash::ContentHash;
use crate::ids::{NodeName, NodeUid};
use crate::membership::{Member, MemberState, Membership};
use crate::order::{OrderChange, Orders};
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

/// What one commit decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Steps of nodes.
    pub changes: Vec<Change>,
    /// What operators asked for.
    pub orders: Vec<OrderChange>,
    /// What operators let through.
    pub overrides: Vec<OverrideChange>,
    /// What was put right in the read model, in words for people.
    pub repairs: Vec<String>,
}

impl From<Vec<Change>> for Decision {
    fn from(changes: Vec<Change>) -> Self {
        Self { changes, ..Self::default() }
    }
}

/// One commit. An entry that decides nothing is an election (or the very first entry).
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
    /// What operators asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderChange>,
    /// What operators let through in spite of a guard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<OverrideChange>,
    /// What was put right in the read model, in words for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<String>,
    /// Hash of membership, orders and overrides after it.
    pub state_hash: ContentHash,
}

impl LogEntry {
    /// Its place in the history.
    pub fn position(&self) -> Position {
        Position { term: self.term, revision: self.revision }
    }

    /// Whether it only opens a term.
    pub fn is_election(&self) -> bool {
        self.changes.is_empty() && self.orders.is_empty() && self.overrides.is_empty() && self.repairs.is_empty()
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
    /// The orders after that entry.
    #[serde(default, skip_serializing_if = "Orders::is_empty")]
    pub orders: Orders,
    /// The overrides after that entry.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
}

impl Snapshot {
    /// The hash that the entry at its position must carry.
    pub fn state_hash(&self) -> ContentHash {
        state_hash(self.membership.hash(), &self.orders, &self.overrides)
    }
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
    /// After the newest entry.
    pub orders: Orders,
    /// After the newest entry.
    pub overrides: Overrides,
}

/// A log without orders and overrides has the hashes that it would have if there were no such things.
fn state_hash(membership: ContentHash, orders: &Orders, overrides: &Overrides) -> ContentHash {
    match (orders.is_empty(), overrides.is_empty()) {
        (true, true) => membership,
        (false, true) => ContentHash::of_json(&(membership, orders)),
        (_, false) => ContentHash::of_json(&(membership, orders, overrides)),
    }
}

impl LogState {
    /// The state at a snapshot.
    pub fn from_snapshot(snapshot: Snapshot) -> Self {
        let Snapshot { position, membership, orders, overrides, .. } = snapshot;
        Self { position, membership, orders, overrides }
    }

    /// The state at this moment, as a snapshot.
    pub fn to_snapshot(&self, at: Timestamp) -> Snapshot {
        let Self { position, membership, orders, overrides } = self.clone();
        Snapshot { position, at, membership, orders, overrides }
    }

    /// The hash that the newest entry carries.
    pub fn state_hash(&self) -> ContentHash {
        state_hash(self.membership.hash(), &self.orders, &self.overrides)
    }

    /// The entry that would commit this decision in `term` on top of this state.
    pub fn next_entry(&self, term: Term, holder: &str, at: Timestamp, decision: impl Into<Decision>) -> LogEntry {
        let Decision { changes, orders, overrides, repairs } = decision.into();
        let (orders_after, overrides_after) = (self.orders.with(&orders, at), self.overrides.with(&overrides, at));
        let state_hash = state_hash(self.membership.hash_with(&changes), &orders_after, &overrides_after);
        let (revision, holder) = (self.position.revision.next(), holder.to_owned());
        LogEntry { revision, term, holder, at, changes, orders, overrides, repairs, state_hash }
    }

    /// The entry that opens the next term.
    pub fn election(&self, holder: &str, at: Timestamp) -> LogEntry {
        self.next_entry(self.position.term.next(), holder, at, Decision::default())
    }

    /// Adds the next entry, or says how it contradicts what came before; then nothing has changed.
    /// Costs what the entry changes, not what exists.
    pub fn append(&mut self, entry: &LogEntry) -> Result<(), ReplayError> {
        let expected = self.position.revision.next();
        if entry.revision != expected {
            return Err(ReplayError::Gap { expected, found: entry.revision });
        }
        if entry.term < self.position.term {
            let (revision, before, found) = (entry.revision, self.position.term, entry.term);
            return Err(ReplayError::TermWentBack { revision, before, found });
        }
        let orders = self.orders.with(&entry.orders, entry.at);
        let overrides = self.overrides.with(&entry.overrides, entry.at);
        let computed = state_hash(self.membership.hash_with(&entry.changes), &orders, &overrides);
        if computed != entry.state_hash {
            return Err(ReplayError::HashMismatch { revision: entry.revision, recorded: entry.state_hash, computed });
        }
        for change in &entry.changes {
            self.membership.apply(change);
        }
        self.position = entry.position();
        (self.orders, self.overrides) = (orders, overrides);
        Ok(())
    }
}
