//! What the agent counts.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tidegate_core::protocol::{ApplyReport, DriftOutcome, Refusal};

/// From a rename (1 ms) over a reload of nginx (0.1 s) to its deadline (10 s).
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Labels of `tidegate_apply_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ApplyLabels {
    engine: &'static str,
    result: &'static str,
}

/// Labels of `tidegate_apply_step_seconds`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

/// Labels of `tidegate_hook_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HookLabels {
    result: &'static str,
}

/// Labels of `tidegate_drift_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DriftLabels {
    engine: &'static str,
    outcome: &'static str,
}

/// The agent's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    engine: &'static str,
    applies: Family<ApplyLabels, Counter>,
    steps: Family<StepLabels, Histogram, fn() -> Histogram>,
    hooks: Family<HookLabels, Counter>,
    drifts: Family<DriftLabels, Counter>,
}

impl Metrics {
    /// Registers them.
    pub fn new(engine: &'static str, registry: &mut Registry) -> Self {
        let steps: fn() -> Histogram = || Histogram::new(BUCKETS);
        let metrics = Self {
            engine,
            applies: Family::default(),
            steps: Family::new_with_constructor(steps),
            hooks: Family::default(),
            drifts: Family::default(),
        };
        registry.register("tidegate_apply", "Applies by engine and how they ended", metrics.applies.clone());
        registry.register("tidegate_apply_step_seconds", "How long each step of an apply took", metrics.steps.clone());
        registry.register("tidegate_hook", "Hooks received, by what became of them", metrics.hooks.clone());
        let drifts = "Foreign changes to what the engine serves, by what became of them";
        registry.register("tidegate_drift", drifts, metrics.drifts.clone());
        metrics
    }

    /// Counts a foreign change.
    pub fn drifted(&self, outcome: DriftOutcome) {
        self.drifts.get_or_create(&DriftLabels { engine: self.engine, outcome: outcome.as_str() }).inc();
    }

    /// Counts an apply.
    pub fn applied(&self, report: &ApplyReport) {
        self.applies.get_or_create(&ApplyLabels { engine: self.engine, result: report.outcome.as_str() }).inc();
        for timing in &report.timings {
            let seconds = Duration::from_micros(timing.micros).as_secs_f64();
            self.steps.get_or_create(&StepLabels { step: timing.step.as_str() }).observe(seconds);
        }
    }

    /// Counts a hook.
    pub fn hook(&self, answer: &Result<ApplyReport, Refusal>) {
        let result = match answer {
            Ok(report) => report.outcome.as_str(),
            Err(refusal) => refusal.as_str(),
        };
        self.hooks.get_or_create(&HookLabels { result }).inc();
    }
}
