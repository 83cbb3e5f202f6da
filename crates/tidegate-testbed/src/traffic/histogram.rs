//! Latencies in logarithmic buckets: constant memory, and two of them can be subtracted.

#![expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]

use std::time::Duration;

/// Each bucket is 5 % wider than the one before; the first ends at 10 us, the last above 60 s.
const BUCKETS: usize = 330;
const FIRST_MICROS: f64 = 10.0;
const GROWTH: f64 = 1.05;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS] }
    }
}

impl Histogram {
    pub fn add(&mut self, latency: Duration) {
        let micros = latency.as_secs_f64() * 1e6;
        let exact = (micros / FIRST_MICROS).max(1.0).ln() / GROWTH.ln();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and BUCKETS")]
        let index = exact.ceil().min((BUCKETS - 1) as f64) as usize;
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        }
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper end of the bucket that holds the quantile; zero when empty.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let total = self.count() as f64;
        let mut seen = 0;
        for (exponent, count) in (0_i32..).zip(&self.counts) {
            seen += count;
            if *count > 0 && seen as f64 >= total * quantile {
                return Duration::from_secs_f64(FIRST_MICROS * GROWTH.powi(exponent) / 1e6);
            }
        }
        Duration::ZERO
    }

    pub(super) fn subtract(&mut self, earlier: &Self) {
        for (count, before) in self.counts.iter_mut().zip(&earlier.counts) {
            *count = count.saturating_sub(*before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        (1..=1000).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        for (quantile, truth) in [(0.5, 0.5), (0.99, 0.99)] {
            let seen = histogram.quantile(quantile).as_secs_f64();
            assert!((seen / truth - 1.0).abs() < 0.06, "{quantile}: {seen}");
        }
        histogram.add(Duration::from_secs(1000));
        assert_eq!(histogram.count(), 1001);
    }
}
