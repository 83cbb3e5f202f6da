//! Who may act: only a process whose last granted write of the lease is younger than the renew deadline.

use std::fmt;
use std::time::Duration;

use tidegate_core::lease::LeasePolicy;

use super::{Moment, Oracle};
use crate::violation::Invariant;

/// Timers tick in milliseconds.
const TICK: Duration = Duration::from_millis(2);

impl Oracle {
    /// The API server took a write of the lease that was begun at `started`.
    pub(crate) fn granted(&mut self, holder: &str, started: Duration) {
        self.granted.insert(holder.to_owned(), started);
    }

    /// The API server took a lease from one holder and gave it to another.
    pub(crate) fn handed_over(moment: &mut Moment<'_>, from: &str, to: &str, unrenewed: Duration) {
        moment.note(format_args!("lease of {from} to {to} after {:.3} s of silence", unrenewed.as_secs_f64()));
        if unrenewed + TICK < LeasePolicy::default().lease_duration {
            let detail = format_args!("{to} took it from {from} after {unrenewed:?}");
            moment.accuse(Invariant::LeaseIsRespected, detail);
        }
    }

    /// Whether a process may act at this moment.
    pub(crate) fn may_act(&self, holder: &str, now: Duration) -> bool {
        let until = self.granted.get(holder).map(|at| *at + LeasePolicy::default().renew_deadline);
        until.is_some_and(|until| now <= until + TICK)
    }

    /// A process is about to change something outside itself.
    pub(crate) fn acts(&mut self, moment: &mut Moment<'_>, holder: &str, what: fmt::Arguments<'_>) {
        if !self.may_act(holder, moment.now) {
            let last = self.granted.get(holder);
            moment.accuse(Invariant::ActsWithinLease, format_args!("{holder}: {what}; last granted at {last:?}"));
        }
    }

    /// A LIST that was begun at `started` has reached its process.
    pub(crate) fn listed(&mut self, holder: &str, started: Duration) {
        self.listed.insert(holder.to_owned(), started);
    }
}
