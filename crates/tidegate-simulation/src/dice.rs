//! Chance from one seed: a stream for each concern, so that a change in one does not shift the others.

use std::time::Duration;

/// What a stream of chance is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Concern {
    Cluster = 1,
    Faults,
    Network,
    Agents,
    Pods,
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, fast, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, concern: Concern) -> Self {
        let mut dice = Self(seed ^ (concern as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        // Seeds that differ in one bit are strangers after this.
        Self(dice.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit` (zero when that is zero).
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Milliseconds, evenly spread.
    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.below(high.saturating_sub(low) + 1))
    }

    /// Seconds in steps of a millisecond, evenly spread.
    pub(crate) fn seconds(&mut self, low: u64, high: u64) -> Duration {
        self.millis(low * 1000, high * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_its_seed_and_its_concern() {
        let first = |seed, concern| Dice::new(seed, concern).next();
        assert_eq!(first(7, Concern::Faults), first(7, Concern::Faults));
        assert_ne!(first(7, Concern::Faults), first(8, Concern::Faults));
        assert_ne!(first(7, Concern::Faults), first(7, Concern::Cluster));
    }

    #[test]
    fn spans_stay_within_their_bounds() {
        let mut dice = Dice::new(1, Concern::Network);
        let spans: Vec<Duration> = (0..1000).map(|_| dice.millis(3, 7)).collect();
        assert_eq!(spans.iter().min(), Some(&Duration::from_millis(3)));
        assert_eq!(spans.iter().max(), Some(&Duration::from_millis(7)));
    }
}
