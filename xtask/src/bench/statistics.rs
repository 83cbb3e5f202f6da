//! Medians and tails of a handful of samples.

use std::time::Duration;

/// Measured times, in the order in which they were taken.
#[derive(Debug, Default, Clone)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that at least this share of all samples does not exceed, in milliseconds.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        let sample = sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        sample.as_secs_f64() * 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut samples = Samples::default();
        (1..=200).rev().for_each(|ms| samples.add(Duration::from_millis(ms)));
        let written = [0.5, 0.99, 1.0].map(|share| format!("{:.0}", samples.quantile(share)));
        assert_eq!(written, ["100", "198", "200"]);
    }
}
