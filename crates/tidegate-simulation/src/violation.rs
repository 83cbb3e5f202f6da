//! What must always hold, and the moment at which it did not.

use std::fmt;
use std::time::Duration;

/// A rule of ARCHITECTURE.md that a run is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// The committed log is one line: each revision once, each entry adds up, no term goes back.
    LogIsLinear,
    /// One term is one holder's; the next holder opens the next one.
    TermHasOneHolder,
    /// Nothing is written, pushed or patched by a process whose lease has run out.
    ActsWithinLease,
    /// Nobody takes a lease before it has run out.
    LeaseIsRespected,
    /// Only what is committed is ever pushed, or live.
    OnlyCommittedGoesOut,
    /// An agent never goes back, neither in what it admits nor in what it serves.
    AgentNeverGoesBack,
    /// No load balancer, and no commit, is left without an active node.
    NeverEmpty,
    /// A node that has long been well and wanted is not taken out.
    HealthyStays,
    /// A view without a recent LIST takes nothing out.
    StaleTakesNothing,
    /// A node counts as gone only when it is.
    GoneIsGone,
    /// A node that an operator drained is not active again before `undrain`.
    OrderIsKept,
    /// The deadline of a drain is never put off.
    DrainEndsOnTime,
    /// A drain that ends early has no connection left.
    DrainWaits,
    /// A deletion waits until the node is out of every load balancer that can be asked.
    FinalizerWaits,
    /// A finalizer does not outlive its deadline.
    FinalizerEnds,
    /// Without faults there is one leader.
    OneLeader,
    /// Without faults every load balancer serves exactly the nodes that should be served.
    Converges,
    /// A controller does not end by itself.
    StaysAlive,
}

/// The first rule that was broken in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// How.
    pub detail: String,
    /// The number of the step.
    pub step: u64,
    /// The virtual time since the start.
    pub at: Duration,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, detail, step, at } = self;
        write!(f, "{invariant:?} at step {step} ({:.3} s): {detail}", at.as_secs_f64())
    }
}
