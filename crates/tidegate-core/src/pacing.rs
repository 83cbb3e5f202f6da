//! When the next apply may start: at once when idle, never sooner than the floor after the last one.

use std::time::Duration;

/// Spaces the reloads of one engine. Times are monotonic, counted from any fixed origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacer {
    floor: Duration,
    last_start: Option<Duration>,
}

impl Pacer {
    /// At least `floor` between two starts; zero for an engine that updates in place.
    pub const fn new(floor: Duration) -> Self {
        Self { floor, last_start: None }
    }

    /// The least time between two starts.
    pub const fn floor(&self) -> Duration {
        self.floor
    }

    /// How long to wait at `now` before starting.
    pub fn wait(&self, now: Duration) -> Duration {
        self.last_start.map_or(Duration::ZERO, |last| (last + self.floor).saturating_sub(now))
    }

    /// Notes that something that counts (a reload) started at `now`.
    pub fn started(&mut self, now: Duration) {
        self.last_start = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_starts_at_once_and_the_next_waits_for_the_floor() {
        let mut pacer = Pacer::new(1000 * MS);
        assert_eq!(pacer.wait(Duration::ZERO), Duration::ZERO);
        pacer.started(200 * MS);
        assert_eq!(pacer.wait(300 * MS), 900 * MS);
        assert_eq!(pacer.wait(1200 * MS), Duration::ZERO);
    }

    #[test]
    fn changes_of_two_seconds_start_at_most_four_times() {
        let mut pacer = Pacer::new(1000 * MS);
        let mut starts = 0;
        let mut free_at = Duration::ZERO;
        for change in (0..500).map(|n| 4 * n * MS) {
            // A change waits for the floor; those that come meanwhile ride along.
            if change >= free_at {
                let start = change + pacer.wait(change);
                pacer.started(start);
                free_at = start;
                starts += 1;
            }
        }
        assert!(starts <= 4, "{starts} starts");
    }
}
