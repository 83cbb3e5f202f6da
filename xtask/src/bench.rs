//! `cargo xtask bench`: figures that anyone can measure again, as ratios against a baseline of the same run.

mod agent;
mod crash;
mod engines;
mod flip;
mod floor;
mod memory;
mod probes;
mod site;
mod statistics;
mod store;

use anyhow::Result;
use tidegate_testbed::servers;

/// Measures Tidegate beside a baseline, in one run.
#[derive(Debug, clap::Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Every engine beside its bare self; writes docs/benchmarks.md (about 8 minutes).
    Engines(engines::Engines),
    /// A node that dies: how long it still gets new connections; writes docs/crashes.md (about 16 minutes).
    Crash(crash::CrashBench),
    /// Node change at the API -> verified live in one engine, beside a bare watch and the bare engine.
    Latency(engines::Latency),
    /// What asking 5,000 backends four times a second costs the agent.
    Probes(probes::Probes),
    /// Resident memory of `tidegate run`, or of `tidegate controller` also while it relists.
    Memory(memory::Memory),
    /// Thousands of nodes that change in one burst: how often the engine is told.
    Flip(flip::Flip),
    /// Commit of one change: MongoDB beside SQLite and a bare fsync.
    Store(store::StoreBench),
}

impl Bench {
    pub fn run(&self) -> Result<()> {
        servers::ensure_all()?;
        // The store is measured by itself.
        if !matches!(self.what, What::Store(_)) {
            crate::build::tidegate_release()?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match &self.what {
                What::Engines(engines) => engines.measure().await,
                What::Crash(crash) => crash.measure().await,
                What::Latency(latency) => latency.measure().await,
                What::Probes(probes) => probes.measure().await,
                What::Memory(memory) => memory.measure().await,
                What::Flip(flip) => flip.measure().await,
                What::Store(store) => store.measure().await,
            }
        })
    }
}
