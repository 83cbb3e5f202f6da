//! Another controller, elected by another Lease, that writes to the same store: two that fence each other for ever would
//! be worse than one that waits.

use std::time::Duration;

use tidegate_core::backoff::Backoff;
use tokio::time::Instant;

/// The longest that a candidate stays out of the election.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// A leadership of this length ends a row: what comes then is news.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1800);

/// Counts the times that the same other controller wrote in a newer term.
#[derive(Debug)]
pub(super) struct Rivalry {
    backoff: Backoff,
    rival: Option<String>,
    in_a_row: u32,
    last: Option<Instant>,
    rests_until: Option<Instant>,
}

impl Rivalry {
    pub(super) const fn new(first_rest: Duration) -> Self {
        let backoff = Backoff { first: first_rest, limit: LONGEST_REST };
        Self { backoff, rival: None, in_a_row: 0, last: None, rests_until: None }
    }

    /// Until when to leave the Lease alone.
    pub(super) const fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// Notes that `by` wrote in a newer term. Once is what an election does; again is a rival.
    pub(super) fn deposed(&mut self, by: &str) {
        let now = Instant::now();
        let again = self.rival.as_deref() == Some(by) && self.last.is_some_and(|last| now - last < FORGOTTEN_AFTER);
        self.in_a_row = if again { self.in_a_row.saturating_add(1) } else { 0 };
        self.rival = Some(by.to_owned());
        self.last = Some(now);
        self.rests_until = Some(now + self.backoff.delay(self.in_a_row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn being_deposed_again_by_the_same_one_is_answered_by_longer_and_longer_rests() {
        let mut rivalry = Rivalry::new(Duration::from_secs(15));
        let mut rests = Vec::new();
        for by in ["a", "a", "a", "a", "a", "a", "a", "b", "b"] {
            rivalry.deposed(by);
            rests.push((rivalry.rests_until().unwrap() - Instant::now()).as_secs());
        }
        assert_eq!(rests, [0, 15, 30, 60, 120, 240, 300, 0, 15]);
        tokio::time::advance(FORGOTTEN_AFTER).await;
        rivalry.deposed("b");
        assert_eq!(rivalry.rests_until(), Some(Instant::now()));
    }
}
