//! The wall clock of one machine.

use jiff::Timestamp;
use tidegate_controller::Clock;

use crate::caller::Caller;

pub(super) struct SimulatedClock(pub(super) Caller);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.0.world.state().wall_of(self.0.life.replica)
    }
}
