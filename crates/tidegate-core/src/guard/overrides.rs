//! What an operator lets through in spite of a guard: recorded in the log, and over by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Guard;

/// A guard that does not hold for a while (`tidegate override`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// When it is over.
    pub until: Timestamp,
    /// Who asked.
    pub by: String,
    /// What for.
    pub why: String,
    /// When.
    pub since: Timestamp,
}

/// One override, as the log records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideChange {
    /// Which guard.
    pub guard: Guard,
    /// Until when; not later than the entry itself: it is taken back.
    pub until: Timestamp,
    /// Who asked.
    pub by: String,
    /// What for.
    pub why: String,
}

impl fmt::Display for OverrideChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "override of guard {} until {} by {}", self.guard, self.until, self.by)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// Every override that is not over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overrides {
    by_guard: BTreeMap<Guard, Override>,
}

impl Overrides {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_guard.is_empty()
    }

    /// All of them, those included that are over since the newest entry.
    pub fn iter(&self) -> impl Iterator<Item = (Guard, &Override)> {
        self.by_guard.iter().map(|(guard, known)| (*guard, known))
    }

    /// Guards that do not hold at this moment.
    pub fn standing(&self, now: Timestamp) -> BTreeSet<Guard> {
        self.iter().filter(|(_, known)| known.until > now).map(|(guard, _)| guard).collect()
    }

    /// When the next one is over.
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.by_guard.values().map(|known| known.until).filter(|until| *until > now).min()
    }

    /// The overrides after an entry of `at`, which forgets those that are over by then.
    #[must_use]
    pub fn with(&self, changes: &[OverrideChange], at: Timestamp) -> Self {
        let mut next = self.clone();
        for OverrideChange { guard, until, by, why } in changes {
            let change = Override { until: *until, by: by.clone(), why: why.clone(), since: at };
            next.by_guard.insert(*guard, change);
        }
        next.by_guard.retain(|_, known| known.until > at);
        next
    }
}
