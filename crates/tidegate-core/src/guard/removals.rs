//! Who went involuntarily of late: what G2 and G3 have to remember between two plans.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::takes_out;
use crate::eligibility::Class;
use crate::ids::NodeUid;
use crate::log::{Change, LogEntry, Phase};
use crate::time::{after, elapsed};

/// How long a node that went counts as one that served lately.
pub const MEMORY: Duration = Duration::from_secs(30 * 60);

/// Members that went involuntarily and have neither come back nor been sent away since. Read off the log, so that every
/// replica knows it; a new process reads the entries of the last 30 minutes again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removals {
    out: BTreeMap<NodeUid, Timestamp>,
}

impl Removals {
    /// Takes in an entry of the log.
    pub fn note(&mut self, entry: &LogEntry) {
        self.out.retain(|_, since| elapsed(*since, entry.at) < MEMORY);
        for change in &entry.changes {
            self.note_change(change, entry.at);
        }
    }

    fn note_change(&mut self, change: &Change, at: Timestamp) {
        if change.rule.class() == Class::Voluntary || change.phase() == Phase::Active {
            self.out.remove(&change.uid);
        } else if change.from == Phase::Active && takes_out(change) {
            self.out.insert(change.uid.clone(), at);
        }
    }

    /// Whether this node is among them.
    pub fn contains(&self, uid: &NodeUid) -> bool {
        self.out.contains_key(uid)
    }

    /// How many went within 30 minutes, and how many of them within `window`.
    pub fn count(&self, now: Timestamp, window: Duration) -> (usize, usize) {
        let within = |length: Duration| self.out.values().filter(|since| elapsed(**since, now) < length).count();
        (within(MEMORY), within(window))
    }

    /// When the oldest of those within `window` leaves it.
    pub fn next_out_of(&self, now: Timestamp, window: Duration) -> Option<Timestamp> {
        self.out.values().map(|since| after(*since, window)).filter(|at| *at > now).min()
    }
}
