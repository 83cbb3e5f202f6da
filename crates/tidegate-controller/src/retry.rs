//! When something that failed may be tried again.

use std::time::Duration;

use tidegate_core::backoff::Backoff;
use tokio::time::Instant;

/// Counts failures in a row and knows when the next attempt is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    backoff: Backoff,
    failures: u32,
    due: Option<Instant>,
}

impl Retry {
    pub(crate) const fn new(first: Duration, limit: Duration) -> Self {
        Self { backoff: Backoff { first, limit }, failures: 0, due: None }
    }

    /// Notes a failure; answers how long to wait.
    pub(crate) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = self.backoff.delay(self.failures);
        self.due = Some(Instant::now() + wait);
        wait
    }

    /// Notes a failure after which waiting is all that helps.
    pub(crate) fn failed_for(&mut self, wait: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.due = Some(Instant::now() + wait);
    }

    /// Notes a success; answers whether it ended a row of failures.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.due = None;
        std::mem::take(&mut self.failures) > 0
    }

    /// Whether the latest attempts failed.
    pub(crate) const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether this is the first failure of a row: the one that is worth a line in the log.
    pub(crate) const fn is_first_failure(&self) -> bool {
        self.failures == 1
    }

    /// Whether an attempt may be made now.
    pub(crate) fn is_due(&self) -> bool {
        self.due.is_none_or(|due| due <= Instant::now())
    }

    /// When the next attempt may be made; nothing: at any time.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_due_after_its_wait_and_at_once_after_a_success() {
        let mut retry = Retry::new(Duration::from_secs(1), Duration::from_secs(4));
        assert!(retry.is_due() && !retry.is_failing());
        retry.failed();
        assert_eq!(retry.failed(), Duration::from_secs(2));
        tokio::time::advance(Duration::from_millis(1999)).await;
        assert!(!retry.is_due());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(retry.is_due() && retry.is_failing() && !retry.is_first_failure());
        assert!(retry.succeeded() && !retry.succeeded());
    }
}
