//! Three real controllers, their cluster, store and load balancers in virtual time, all from one seed.
//!
//! [`simulate`] runs half an hour of randomised faults and then peace; an oracle that knows what is true holds every
//! step against the invariants of ARCHITECTURE.md. A seed is a run: it repeats to the letter. Only the edges are
//! simulated: election, decisions, recording and delivery are the production code of `tidegate-controller`, and an
//! agent admits states by the production code of `tidegate-core`.
#![warn(missing_docs)]

mod agent;
mod caller;
mod count;
mod dice;
mod edge;
mod fault;
mod happening;
#[cfg(feature = "mutants")]
mod hunt;
mod kubernetes;
mod life;
mod operator;
mod oracle;
mod parties;
mod pods;
mod replica;
mod run;
mod settings;
mod store;
mod sweep;
mod trace;
mod trip;
mod violation;
mod watchers;
mod weather;
mod world;

pub use count::Counts;
#[cfg(feature = "mutants")]
pub use hunt::{Prey, hunt};
pub use run::{Report, SimulationError, simulate};
pub use sweep::{Sweep, Tally, sweep};
pub use violation::{Invariant, Violation};
