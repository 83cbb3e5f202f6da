//! The scenario of the benches: the release binary on one load balancer machine.

use anyhow::Result;
use tidegate_core::engine::EngineKind;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::cluster::ClusterOptions;
use tidegate_testbed::scenario::{RunConfig, Scenario};

/// `workers` nodes live behind `tidegate run`, with its default pacing; a node that leaves drains for longer than any
/// measurement takes, so that nothing changes by itself.
pub async fn start(engine: EngineKind, workers: u32) -> Result<Scenario> {
    let binary = crate::build::release_binary();
    let options = SiteOptions { workers, cluster: ClusterOptions::default(), binary, ..SiteOptions::default() };
    let config = RunConfig { engine, join_delay: "0s", drain_timeout: "1h", ..RunConfig::default() };
    Scenario::serving(options, config).await
}
