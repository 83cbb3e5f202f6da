//! Bugs planted on purpose, to show that the simulation finds them (feature `mutants`, never in a release).

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mutant {
    /// A leader acts on after its renew deadline.
    LeaderNeverExpires = 1,
    /// A candidate takes a lease that has not run out.
    LeaseStolenEarly,
    /// A leader does not look at its lease before it writes.
    WriteWithoutLease,
    /// A new leader goes on in the term of the old one.
    TermNotRaised,
    /// The store takes an entry over another one of the same revision.
    StoreOverwrites,
    /// An agent takes an older position.
    AgentTakesOlder,
    /// What is not recorded yet is published.
    PublishBeforeCommit,
    /// A commit whose answer was lost counts as done.
    LostAnswerIsSuccess,
    /// A push that got lost is never repeated.
    LostPushForgotten,
    /// The last active member is taken out.
    GuardNeverEmptyOff,
    /// A stale view takes nodes out.
    GuardFreshOff,
    /// A node that is missing in one LIST is gone, without asking for it by name.
    GoneUnconfirmed,
    /// A drain starts anew with each leader.
    DrainRestarts,
    /// A drain ends although connections are open.
    IdleIsAssumed,
    /// A finalizer is taken off before the load balancers have let go.
    FinalizerEarly,
    /// A finalizer stays beyond its deadline.
    FinalizerNever,
    /// An operator's drain is forgotten by the next leader.
    OrderForgotten,
    /// Resync does not repair what the watch has missed.
    ResyncIgnored,
    /// The last node that carries a listener leaves it.
    ListenerEmptied,
    /// A stale view of the pods takes nodes out of a listener.
    StalePodsBelieved,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::LeaderNeverExpires,
        Self::LeaseStolenEarly,
        Self::WriteWithoutLease,
        Self::TermNotRaised,
        Self::StoreOverwrites,
        Self::AgentTakesOlder,
        Self::PublishBeforeCommit,
        Self::LostAnswerIsSuccess,
        Self::LostPushForgotten,
        Self::GuardNeverEmptyOff,
        Self::GuardFreshOff,
        Self::GoneUnconfirmed,
        Self::DrainRestarts,
        Self::IdleIsAssumed,
        Self::FinalizerEarly,
        Self::FinalizerNever,
        Self::OrderForgotten,
        Self::ResyncIgnored,
        Self::ListenerEmptied,
        Self::StalePodsBelieved,
    ];
}

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants this bug in what runs on this thread, and nothing else.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    /// Whether this bug is planted here.
    pub fn planted(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use switch::{plant, planted};

/// Whether this bug is planted: never, without feature `mutants`.
#[cfg(not(feature = "mutants"))]
pub const fn planted(_: Mutant) -> bool {
    false
}
