//! Who leads: a small machine on a `coordination.k8s.io` Lease.
//!
//! Time is a [`Moment`] of one process's own monotonic clock. The times that are written into the Lease are for people:
//! whether another's lease has run out is judged only by how long *this* process has seen it unchanged, as clocks of two
//! machines never agree. The Lease only says who may *try*: what a leader commits is fenced by the term in the store.

mod record;

use std::time::Duration;

use jiff::Timestamp;

use crate::mutant::{Mutant, planted};

pub use record::{LeasePolicy, LeaseRecord, SeenLease};

/// Time since an arbitrary start on one process's monotonic clock. It does not stop while the process is paused.
pub type Moment = Duration;

/// What to do next about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseStep {
    /// Nothing before this moment.
    Wait(Moment),
    /// Read it, and tell [`Candidate::read`].
    Read,
    /// Write it if it still has this version (none: create it), and tell [`Candidate::written`].
    Write {
        /// What to write.
        record: LeaseRecord,
        /// The version that it must still have; none: it must not exist.
        version: Option<String>,
    },
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseWrite {
    /// It has this version now.
    Done(String),
    /// Somebody else wrote first.
    Conflict,
    /// No answer, or one that leaves open what happened.
    Failed,
}

/// Whether this process leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Somebody else does, if anybody.
    Follower {
        /// Who, by the latest word.
        leader: Option<String>,
    },
    /// This process may act before this moment.
    Leader {
        /// The moment at which it has to have stopped.
        until: Moment,
    },
}

/// What was last known of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It has to be read.
    Nothing,
    /// It does not exist.
    Absent,
    /// It exists.
    Seen {
        lease: SeenLease,
        /// Since when it has been unchanged, as this process saw it.
        since: Moment,
    },
}

/// One replica's side of the election.
#[derive(Clone, Debug)]
pub struct Candidate {
    me: String,
    policy: LeasePolicy,
    known: Known,
    /// The start of the latest write that made or kept this process the holder.
    held_since: Option<Moment>,
    /// When the latest write ended: the answer to a question that was asked before says nothing any more.
    settled: Moment,
    next_at: Moment,
}

impl Candidate {
    /// A candidate that knows nothing yet. `me` must be another string in every process, also after a restart.
    pub fn new(me: String, policy: LeasePolicy) -> Self {
        let (settled, next_at) = (Moment::ZERO, Moment::ZERO);
        Self { me, policy, known: Known::Nothing, held_since: None, settled, next_at }
    }

    /// Whether this process leads at `now`.
    pub fn standing(&self, now: Moment) -> Standing {
        if let Some(until) = self.until().filter(|until| now < *until || planted(Mutant::LeaderNeverExpires)) {
            return Standing::Leader { until };
        }
        let leader = match &self.known {
            Known::Seen { lease, .. } => lease.record.holder.clone().filter(|holder| *holder != self.me),
            Known::Nothing | Known::Absent => None,
        };
        Standing::Follower { leader }
    }

    /// What to do at `now`; `wall` is only written down.
    pub fn next(&self, now: Moment, wall: Timestamp) -> LeaseStep {
        if now < self.next_at {
            return LeaseStep::Wait(self.next_at);
        }
        match &self.known {
            Known::Absent => LeaseStep::Write { record: self.mine(None, wall), version: None },
            Known::Seen { lease, since } if self.may_write(lease, *since, now) => {
                let version = Some(lease.version.clone());
                LeaseStep::Write { record: self.mine(Some(&lease.record), wall), version }
            }
            Known::Nothing | Known::Seen { .. } => LeaseStep::Read,
        }
    }

    /// Takes in what was read (none: it does not exist), in answer to a question that was asked at `started`.
    pub fn read(&mut self, seen: Option<SeenLease>, started: Moment, now: Moment) {
        if started < self.settled {
            return;
        }
        let since = match (&seen, &self.known) {
            // Unchanged: the age counts from when it was first seen.
            (Some(lease), Known::Seen { lease: earlier, since }) if lease.version == earlier.version => *since,
            _ => now,
        };
        self.known = seen.map_or(Known::Absent, |lease| Known::Seen { lease, since });
        if !self.is_mine() {
            // Somebody deleted or edited it, or took it while this process slept: the others need not wait any more.
            self.held_since = None;
        }
        self.next_at = self.next_look(started).max(now);
    }

    /// Takes in that reading failed.
    pub fn unread(&mut self, started: Moment, now: Moment) {
        self.next_at = self.later(started, now);
    }

    /// Takes in the end of a write that was begun at `started`.
    pub fn written(&mut self, record: LeaseRecord, result: LeaseWrite, started: Moment, now: Moment) {
        self.settled = now;
        match result {
            // This process stepped down while the write was under way: it begins afresh.
            LeaseWrite::Done(_) if self.known == Known::Nothing => self.next_at = self.later(started, now),
            LeaseWrite::Done(version) => {
                let mine = record.holder.as_ref() == Some(&self.me);
                // The others count from when they see it, which is after `started`: this process stops first.
                self.held_since = mine.then_some(started);
                self.known = Known::Seen { lease: SeenLease { record, version }, since: now };
                self.next_at = self.later(started, now);
            }
            LeaseWrite::Conflict => {
                // Somebody wrote: perhaps an earlier try of ours. Until that is read, the clock goes on.
                self.known = Known::Nothing;
                self.next_at = now;
            }
            LeaseWrite::Failed => {
                self.known = Known::Nothing;
                self.next_at = self.later(started, now);
            }
        }
    }

    /// Gives the lease up, so that another may take it at once: what to write, if it is still ours. No other write may
    /// be under way; after one whose end is not known, the Lease has to be read first.
    pub fn release(&mut self, wall: Timestamp) -> Option<(LeaseRecord, String)> {
        self.held_since = None;
        let Known::Seen { lease, .. } = &self.known else { return None };
        if lease.record.holder.as_ref() != Some(&self.me) {
            return None;
        }
        let record = LeaseRecord {
            holder: None,
            // As client-go does: whoever reads this with another implementation waits a second at most.
            duration: Duration::from_secs(1),
            renewed: Some(wall),
            ..lease.record.clone()
        };
        Some((record, lease.version.clone()))
    }

    /// Stops leading without a word to the Lease: the store says that somebody else does.
    pub fn step_down(&mut self) {
        self.held_since = None;
        self.known = Known::Nothing;
    }

    fn until(&self) -> Option<Moment> {
        self.held_since.map(|at| at + self.policy.renew_deadline)
    }

    /// The next look, a period after the last one was begun.
    fn later(&self, started: Moment, now: Moment) -> Moment {
        (started + self.policy.retry_period).max(now)
    }

    /// After a look that was begun at `started`: a period later, or as soon as there is something to write.
    fn next_look(&self, started: Moment) -> Moment {
        let period = self.policy.retry_period;
        match &self.known {
            Known::Nothing => started + period,
            Known::Absent => started,
            Known::Seen { .. } if self.is_mine() => self.held_since.map_or(started, |since| since + period),
            Known::Seen { lease, since } => self.free_at(lease, *since).min(started + period),
        }
    }

    fn is_mine(&self) -> bool {
        matches!(&self.known, Known::Seen { lease, .. } if lease.record.holder.as_ref() == Some(&self.me))
    }

    fn may_write(&self, lease: &SeenLease, since: Moment, now: Moment) -> bool {
        self.is_mine() || now >= self.free_at(lease, since)
    }

    /// When a Lease that is not ours may be taken, if nobody renews it.
    fn free_at(&self, lease: &SeenLease, since: Moment) -> Moment {
        if lease.record.holder.is_none() || planted(Mutant::LeaseStolenEarly) {
            return Moment::ZERO;
        }
        since.saturating_add(lease.record.duration.max(self.policy.lease_duration))
    }

    fn mine(&self, before: Option<&LeaseRecord>, wall: Timestamp) -> LeaseRecord {
        let held = before.is_some_and(|b| b.holder.as_ref() == Some(&self.me));
        let transitions = before.map_or(0, |b| if held { b.transitions } else { b.transitions.saturating_add(1) });
        LeaseRecord {
            holder: Some(self.me.clone()),
            duration: self.policy.lease_duration,
            acquired: before.filter(|_| held).and_then(|b| b.acquired).or(Some(wall)),
            renewed: Some(wall),
            transitions,
        }
    }
}

#[cfg(test)]
mod tests;
