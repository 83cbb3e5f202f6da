//! `bench latency`: each change is made twice, once for Tidegate and once for the floor, in turn.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::Site;
use tidegate_testbed::scenario::{Scenario, in_sync, stands};

use super::floor::Floor;
use super::site;
use super::statistics::Samples;

const LIMIT: Duration = Duration::from_secs(20);
/// Moves the floor and means nothing to Tidegate.
const FLOOR_LABEL: &str = "bench.tidegate.io/floor";
/// Between two changes of Tidegate: it gathers changes that come in a row, and keeps a second between reloads.
const IDLE: Duration = Duration::from_millis(1_100);
/// The node that comes and goes.
const NODE: &str = "worker-3";

/// Latency of a change.
#[derive(Debug, clap::Args)]
pub struct Latency {
    /// How many changes for each of the two.
    #[arg(long, default_value_t = 200)]
    changes: usize,
}

struct Run {
    scene: Scenario,
    floor: Floor,
}

impl Latency {
    pub async fn measure(&self) -> Result<()> {
        let mut run = Run::start().await?;
        let (mut tidegate, mut floor) = (Samples::default(), Samples::default());
        for change in 0..self.changes {
            let excluded = change % 2 == 0;
            tokio::time::sleep(IDLE).await;
            floor.add(run.floor(excluded).await?);
            tidegate.add(run.tidegate(excluded).await?);
            if std::io::stderr().is_terminal() {
                eprint!("\r{} of {} changes", change + 1, self.changes);
            }
        }
        eprintln!();
        report(&tidegate, &floor);
        Ok(())
    }
}

impl Run {
    async fn start() -> Result<Self> {
        let scene = site::start(3).await?;
        let workers = (1..=3).map(|n| Ok(scene.site.worker(&format!("worker-{n}"))?.host.address(80)));
        let backends: Vec<SocketAddr> = workers.collect::<Result<_>>()?;
        let floor = Floor::start(&scene.site.lb(Site::LB)?.host, scene.site.folder(), backends).await?;
        Ok(Self { scene, floor })
    }

    /// API event -> the floor's nginx has replaced its workers.
    async fn floor(&self, excluded: bool) -> Result<Duration> {
        let mark = self.scene.clock.mark();
        self.label(FLOOR_LABEL, excluded).await?;
        let seen = self.scene.clock.wait(mark, LIMIT, |sighting| sighting.name == NODE).await?;
        self.floor.apply(if excluded { 2 } else { 3 }).await?;
        Ok(seen.elapsed())
    }

    /// API event -> Tidegate has committed, rendered, validated, swapped, reloaded and verified.
    async fn tidegate(&mut self, excluded: bool) -> Result<Duration> {
        let mark = self.scene.clock.mark();
        self.label(EXCLUDE_LABEL, excluded).await?;
        let seen = self.scene.clock.wait(mark, LIMIT, |sighting| sighting.name == NODE).await?;
        let phase = if excluded { Phase::Draining } else { Phase::Active };
        let wanted = |status: &ClusterStatus| in_sync(status) && stands(status, NODE, phase);
        let (live, status) = self.scene.wait("the change live", wanted).await?;
        ensure!(status.guards.is_empty() && status.frozen.is_none(), "a guard got in the way: {status:?}");
        Ok(live.saturating_duration_since(seen))
    }

    async fn label(&self, key: &str, set: bool) -> Result<()> {
        self.scene.site.worker(NODE)?.kubelet.label(key, set.then_some("true")).await
    }
}

fn report(tidegate: &Samples, floor: &Samples) {
    println!("node change at the API -> verified live in nginx, {} changes each, in turn\n", tidegate.len());
    println!("{:<44} {:>9} {:>9}", "", "p50", "p99");
    for (name, samples) in [("bare watch + nginx -t + reload (floor)", floor), ("tidegate run", tidegate)] {
        println!("{name:<44} {:>6.1} ms {:>6.1} ms", samples.quantile(0.5), samples.quantile(0.99));
    }
    let ratio = |share| tidegate.quantile(share) / floor.quantile(share);
    println!("{:<44} {:>7.2} x {:>7.2} x", "ratio (aim: p50 <= 1.3)", ratio(0.5), ratio(0.99));
}
