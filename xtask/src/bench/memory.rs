//! `bench memory`: what `tidegate run` keeps resident, beside a process that does nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use fs_err as fs;
use tidegate_core::engine::EngineKind;
use tidegate_testbed::kubelet::Bulk;
use tidegate_testbed::scenario::{active, in_sync};

use super::site;

/// Memory.
#[derive(Debug, clap::Args)]
pub struct Memory {
    /// How many nodes the cluster has.
    #[arg(long, default_value_t = 100)]
    nodes: u32,
    /// How long to let it run before the reading.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

impl Memory {
    pub async fn measure(&self) -> Result<()> {
        let mut scene = site::start(EngineKind::Nginx, 1).await?;
        let bulk = Bulk::create(scene.site.cluster.client().await?, "mem", self.nodes - 1, BTreeMap::new()).await?;
        let nodes = self.nodes as usize;
        scene.wait("all nodes live", |status| in_sync(status) && active(status) == nodes).await?;
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let (now, peak) = resident(scene.tidegate.process().pid())?;
        println!("tidegate run, {nodes} nodes live: {now:.1} MiB resident (aim: < 30), {peak:.1} MiB at its peak");
        bulk.delete().await
    }
}

/// `VmRSS` and `VmHWM` in MiB.
fn resident(pid: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mib = |field: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
        let kib: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    };
    Ok((mib("VmRSS")?, mib("VmHWM")?))
}
