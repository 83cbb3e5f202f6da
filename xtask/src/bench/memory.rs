//! `bench memory`: what `tidegate run` or `tidegate controller` keeps resident, and what a relist adds to it.

use std::time::Duration;

use anyhow::{Context, Result};
use fs_err as fs;
use tidegate_core::engine::EngineKind;
use tidegate_testbed::deadline;
use tidegate_testbed::fleet::{Fleet, FleetOptions};
use tidegate_testbed::kubelet::{Bulk, Size};
use tidegate_testbed::scenario::{active, in_sync};

use super::site;

/// Several relists come within any measurement.
const RESYNC: &str = "15s";
/// Relists that are waited for before a peak is read.
const RELISTS: f64 = 3.0;
/// For that many.
const LIMIT: Duration = Duration::from_secs(150);
/// From one reading to the next.
const STEP: Duration = Duration::from_millis(250);

/// Memory.
#[derive(Debug, clap::Args)]
pub struct Memory {
    /// How many nodes the cluster has.
    #[arg(long, default_value_t = 100)]
    nodes: u32,
    /// How long to let it run before and while it is read.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Nodes with 50 images in their status: 17 KB of JSON each.
    #[arg(long)]
    fat: bool,
    /// `tidegate controller` with an agent of its own, also while it relists, instead of `tidegate run`.
    #[arg(long)]
    controller: bool,
}

impl Memory {
    pub async fn measure(&self) -> Result<()> {
        if self.controller { self.of_controller().await } else { self.of_run().await }
    }

    fn size(&self) -> Size {
        if self.fat { Size::Fat } else { Size::Slim }
    }

    async fn of_run(&self) -> Result<()> {
        let mut scene = site::start(EngineKind::Nginx, 1).await?;
        let bulk = Bulk::create(scene.site.cluster.client().await?, "mem", self.nodes - 1, self.size()).await?;
        let nodes = self.nodes as usize;
        scene.wait("all nodes live", |status| in_sync(status) && active(status) == nodes).await?;
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let (now, peak) = resident(scene.tidegate.process().pid())?;
        println!("tidegate run, {nodes} nodes live: {now:.1} MiB resident (aim: < 30), {peak:.1} MiB at its peak");
        bulk.delete().await
    }

    async fn of_controller(&self) -> Result<()> {
        let options = FleetOptions {
            size: self.size(),
            binary: crate::build::release_binary(),
            resync: RESYNC,
            // Asked less often than by default, which on a machine with everything else would be half a core.
            probe: "{ interval: 2s, timeout: 1s }",
            ..FleetOptions::new(self.nodes)
        };
        let fleet = Fleet::serving(options).await?;
        let pid = fleet.controller.process().pid();
        let bytes = fleet.bulk.bytes_of_one().await?;
        println!("tidegate controller, {} nodes of {bytes} bytes each, all live behind one nginx:", self.nodes);
        let (_, start) = resident(pid)?;
        println!("  peak since its start      {start:>6.1} MiB");
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        println!("  at rest                   {:>6.1} MiB (goal: <= 60)", self.at_rest(pid).await?);
        println!("  peak during {RELISTS} resyncs    {:>6.1} MiB (goal: <= 100)", peak_of_relists(&fleet, pid).await?);
        fleet.site.cluster.kill9_and_restart().await?;
        println!("  after the API server ended: the watch and the resync both list anew");
        println!("  peak during that          {:>6.1} MiB (goal: <= 100)", peak_of_relists(&fleet, pid).await?);
        println!("  at rest                   {:>6.1} MiB (goal: <= 60)", self.at_rest(pid).await?);
        Ok(())
    }

    /// The median of what is resident: resyncs come and go meanwhile.
    async fn at_rest(&self, pid: u32) -> Result<f64> {
        let mut readings = Vec::new();
        for _ in 0..self.seconds * 4 {
            tokio::time::sleep(STEP).await;
            readings.push(resident(pid)?.0);
        }
        readings.sort_by(f64::total_cmp);
        readings.get(readings.len() / 2).copied().context("no reading")
    }
}

async fn peak_of_relists(fleet: &Fleet, pid: u32) -> Result<f64> {
    let count = async || fleet.controller_metric("tidegate_resync_seconds_count", &[]).await;
    // From here on VmHWM counts anew (proc(5), clear_refs).
    fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    let before = count().await?;
    let enough = async || count().await.ok().filter(|now| *now >= before + RELISTS);
    deadline::until("relists", LIMIT, enough).await?;
    Ok(resident(pid)?.1)
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
