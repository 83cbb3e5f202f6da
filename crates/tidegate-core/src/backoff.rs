//! How long to wait before trying again, as a value.

use std::time::Duration;

/// Doubles from `first` up to `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub limit: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (zero: none).
    pub fn delay(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.first.saturating_mul(factor).min(self.limit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_and_then_stays() {
        let backoff = Backoff { first: Duration::from_millis(100), limit: Duration::from_secs(1) };
        let waits: Vec<u128> = [0, 1, 2, 3, 4, 5, 40, u32::MAX].map(|n| backoff.delay(n).as_millis()).to_vec();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1000, 1000, 1000]);
    }
}
