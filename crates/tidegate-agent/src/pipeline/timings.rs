//! How long each step took.

use std::future::Future;
use std::time::{Duration, Instant};

use tidegate_core::protocol::StepTiming;
use tidegate_core::step::Step;

/// The steps that ran, in their order.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    steps: Vec<StepTiming>,
}

impl Timings {
    /// Notes how long a step took.
    pub fn note(&mut self, step: Step, took: Duration) {
        self.steps.push(StepTiming { step, micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX) });
    }

    /// Runs a step and notes how long it took, whether it succeeds or not.
    pub async fn of<T>(&mut self, step: Step, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = work.await;
        self.note(step, start.elapsed());
        result
    }

    /// The steps.
    pub fn steps(&self) -> &[StepTiming] {
        &self.steps
    }
}
