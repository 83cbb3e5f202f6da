//! The first change is decided at once; the more follow, the longer they are gathered.

use std::time::Duration;

use tidegate_core::backoff::Backoff;
use tokio::time::Instant;

/// Two events that belong together (a condition and its taint) come within this.
const FIRST: Duration = Duration::from_millis(50);
/// The longest that a change waits in a burst: half of nginx's floor between two reloads.
const LIMIT: Duration = Duration::from_millis(500);
/// A decision is followed by a rest of this many times as long: in a storm of events, of which each by itself changes nothing
/// (thousands of finalizers), decisions about thousands of nodes must not take the time of everything else.
const REST: u32 = 2;
/// No rest is longer: a decision may have waited for its store.
const LONGEST_REST: Duration = Duration::from_millis(100);
/// A burst is over when nothing was committed for this long.
const IDLE: Duration = Duration::from_secs(1);

/// Spaces the commits of a burst.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    in_a_row: u32,
    last: Option<Instant>,
    rests_until: Option<Instant>,
}

impl Debounce {
    /// Notes a commit.
    pub(super) fn committed(&mut self) {
        let now = Instant::now();
        let burst = self.last.is_some_and(|last| now - last < IDLE);
        self.in_a_row = if burst { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(now);
    }

    /// Notes a decision, committed or not, that took this long.
    pub(super) fn decided(&mut self, took: Duration) {
        self.rests_until = Some(Instant::now() + (took * REST).min(LONGEST_REST));
    }

    /// When the next decision may be taken.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        let backoff = Backoff { first: FIRST, limit: LIMIT };
        let gathered = self.last.map(|last| last + backoff.delay(self.in_a_row));
        gathered.max(self.rests_until)
    }

    /// Whether a decision may be taken now.
    pub(super) fn is_ready(&self) -> bool {
        self.ready_at().is_none_or(|at| at <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_decision_that_took_long_is_followed_by_a_rest() {
        let mut debounce = Debounce::default();
        debounce.decided(Duration::from_millis(20));
        assert_eq!(debounce.ready_at(), Some(Instant::now() + Duration::from_millis(40)));
        debounce.decided(Duration::from_secs(3));
        assert_eq!(debounce.ready_at(), Some(Instant::now() + LONGEST_REST));
        debounce.decided(Duration::ZERO);
        assert!(debounce.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_two_seconds_is_eight_commits_and_the_first_waits_for_nothing() {
        let mut debounce = Debounce::default();
        let start = Instant::now();
        assert!(debounce.is_ready());
        let mut commits = 0;
        while start.elapsed() < Duration::from_secs(2) {
            if debounce.is_ready() {
                debounce.committed();
                commits += 1;
            }
            tokio::time::advance(Duration::from_millis(4)).await;
        }
        assert!(commits <= 8, "{commits} commits");
        tokio::time::advance(IDLE).await;
        debounce.committed();
        assert_eq!(debounce.ready_at(), Some(Instant::now() + FIRST), "a new burst begins anew");
    }
}
