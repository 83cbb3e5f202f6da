//! Where the wall-clock time of a decision comes from.

use jiff::Timestamp;

/// The wall clock. Ages that decide something are measured with monotonic instants instead.
pub trait Clock: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
