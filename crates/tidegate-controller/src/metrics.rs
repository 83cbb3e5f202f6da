//! The controller's metrics. Counts and times are noted where they happen; everything that is a
//! state is read from the status when it is asked for, so that what has left the cluster leaves here.

mod collector;

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tidegate_core::finalizer::Release;
use tidegate_core::ids::LoadBalancerName;

pub(crate) use collector::StatusCollector;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    lb: String,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabels {
    outcome: String,
}

/// What the controller counts and times.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    event_to_live: Histogram,
    resync: Histogram,
    repairs: Counter,
    store_write: Histogram,
    hooks: Family<HookLabels, Counter>,
    released: Family<ReleaseLabels, Counter>,
}

/// 1 ms to 60 s; what takes longer is a fault, and a resync would have found it.
const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

impl Metrics {
    /// Registers everything under the prefix `tidegate`.
    pub(crate) fn register(registry: &mut Registry, collector: StatusCollector) -> Self {
        let registry = registry.sub_registry_with_prefix("tidegate");
        let metrics = Self {
            event_to_live: Histogram::new(SECONDS),
            resync: Histogram::new(SECONDS),
            repairs: Counter::default(),
            store_write: Histogram::new(SECONDS),
            hooks: Family::default(),
            released: Family::default(),
        };
        registry.register(
            "event_to_live_seconds",
            "From an event of the API server to the moment at which every load balancer has verified what follows from it",
            metrics.event_to_live.clone(),
        );
        registry.register("resync_seconds", "How long a complete LIST of the nodes took", metrics.resync.clone());
        registry.register(
            "resync_repairs",
            "Nodes that a LIST showed otherwise than the watch, and documents of the nodes table that were put right",
            metrics.repairs.clone(),
        );
        registry.register("store_write_seconds", "How long a commit took", metrics.store_write.clone());
        registry.register("hook", "Desired states pushed to a load balancer, by result", metrics.hooks.clone());
        registry.register(
            "finalizer_released",
            "Finalizers taken off Nodes, by why: every load balancer had let go, the deadline passed, or the node is not ours",
            metrics.released.clone(),
        );
        registry.register_collector(Box::new(collector));
        metrics
    }

    pub(crate) fn event_is_live(&self, took: Duration) {
        self.event_to_live.observe(took.as_secs_f64());
    }

    pub(crate) fn resynced(&self, took: Duration) {
        self.resync.observe(took.as_secs_f64());
    }

    pub(crate) fn repaired(&self, count: usize) {
        self.repairs.inc_by(count as u64);
    }

    pub(crate) fn committed(&self, took: Duration) {
        self.store_write.observe(took.as_secs_f64());
    }

    pub(crate) fn finalizer_released(&self, release: Release) {
        self.released.get_or_create(&ReleaseLabels { outcome: release.as_str().to_owned() }).inc();
    }

    pub(crate) fn pushed(&self, lb: &LoadBalancerName, result: &'static str) {
        let labels = HookLabels { lb: lb.to_string(), result: result.to_owned() };
        self.hooks.get_or_create(&labels).inc();
    }
}
