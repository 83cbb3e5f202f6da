//! The seams of the real controller, each on this world.

mod clock;
mod follow;
mod lease;
mod publisher;
mod source;
mod store;
mod watch;
mod writer;

use std::sync::Arc;

use tidegate_controller::{ApiFailure, Publisher, Seams};

use crate::caller::Caller;
use crate::parties::AgentId;

use clock::SimulatedClock;
use follow::SimulatedFollow;
use lease::SimulatedLease;
use publisher::SimulatedPublisher;
use source::SimulatedSource;
use store::SimulatedStore;
use writer::SimulatedWriter;

/// Everything that one process of a controller has to do with.
pub(crate) fn seams(caller: &Caller, agents: impl Iterator<Item = AgentId>) -> Seams {
    let publisher = |agent| Arc::new(SimulatedPublisher::new(caller.clone(), agent)) as Arc<dyn Publisher>;
    Seams {
        store: Arc::new(SimulatedStore(caller.clone())),
        source: Arc::new(SimulatedSource(caller.clone())),
        follows: Arc::new(SimulatedFollow(caller.clone())),
        publishers: agents.map(publisher).collect(),
        clock: Arc::new(SimulatedClock(caller.clone())),
        nodes: Arc::new(SimulatedWriter(caller.clone())),
        election: Some(Arc::new(SimulatedLease(caller.clone()))),
    }
}

/// No answer came.
fn unanswered() -> ApiFailure {
    ApiFailure::Unreachable { detail: "simulated".into() }
}
