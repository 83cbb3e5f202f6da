//! A node change at the API, until it is live: made in turn for the bare engine, for a script that renders the whole
//! file and reloads, and for Tidegate.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tidegate_core::engine::EngineKind;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::Site;
use tidegate_testbed::scenario::{Scenario, in_sync, left};

use super::super::floor::Floor;
use super::super::site;
use super::super::statistics::Samples;

const LIMIT: Duration = Duration::from_secs(20);
/// Moves the floor and means nothing to Tidegate.
const FLOOR_LABEL: &str = "bench.tidegate.io/floor";
/// Between two changes of Tidegate: within a second, it gathers changes that come in a row, and nginx is not reloaded twice.
const IDLE: Duration = Duration::from_millis(1_100);
/// How often the status is read here: the resolution of Tidegate's times, which is on its account.
const EVERY: Duration = Duration::from_millis(1);
/// The node that comes and goes.
const NODE: &str = "worker-3";

/// Times from the moment when the change is sent to the API server.
#[derive(Debug, Default)]
pub struct Times {
    pub tidegate: Samples,
    pub floor: Samples,
    /// Empty when the engine has no reload.
    pub reload: Samples,
}

/// A site with one engine under Tidegate and the same one bare.
pub struct Run {
    pub scene: Scenario,
    engine: EngineKind,
    floor: Floor,
}

impl Run {
    pub async fn start(engine: EngineKind) -> Result<Self> {
        let mut scene = site::start(engine, 3).await?;
        scene.status.every = EVERY;
        let workers = (1..=3).map(|n| Ok(scene.site.worker(&format!("worker-{n}"))?.host.address(80)));
        let backends: Vec<SocketAddr> = workers.collect::<Result<_>>()?;
        let floor = Floor::start(engine, &scene.site.lb(Site::LB)?.host, scene.site.folder(), backends).await?;
        Ok(Self { scene, engine, floor })
    }

    /// As many changes for each of the three.
    pub async fn measure(&mut self, changes: usize) -> Result<Times> {
        let mut times = Times::default();
        for change in 0..changes {
            let present = change % 2 == 1;
            tokio::time::sleep(IDLE).await;
            // First, so that not even an event that means nothing to it came just before.
            times.tidegate.add(self.tidegate(present).await?);
            times.floor.add(self.floor(present).await?);
        }
        // By itself: a reload starts a worker anew, and so would change what the bare operations find. That of nginx
        // is its bare operation.
        for change in 0..changes / 2 {
            let present = change % 2 == 1;
            let (sent, _) = self.label(FLOOR_LABEL, !present).await?;
            if self.engine == EngineKind::Nginx || !self.floor.reload(present).await? {
                break;
            }
            times.reload.add(sent.elapsed());
        }
        Ok(times)
    }

    /// The bare engine, told by a bare watch.
    async fn floor(&self, present: bool) -> Result<Duration> {
        let (sent, _) = self.label(FLOOR_LABEL, !present).await?;
        self.floor.change(present).await?;
        Ok(sent.elapsed())
    }

    /// Tidegate has committed, rendered, validated, swapped, told the engine and verified.
    async fn tidegate(&mut self, present: bool) -> Result<Duration> {
        let sent = Instant::now();
        self.scene.site.worker(NODE)?.kubelet.label(EXCLUDE_LABEL, (!present).then_some("true")).await?;
        let wanted = |status: &ClusterStatus| in_sync(status) && left(status, NODE) != present;
        let (live, status) = self.scene.wait("the change live", wanted).await?;
        if !present {
            // Its drain ends by itself, because it has no connection: another change, that must not meet the next one.
            self.scene.wait_phase(NODE, Phase::Out).await?;
        }
        ensure!(status.guards.is_empty() && status.frozen.is_none(), "a guard got in the way: {status:?}");
        Ok(live.saturating_duration_since(sent))
    }

    /// When it was sent, and when the watch saw it.
    async fn label(&self, key: &str, set: bool) -> Result<(Instant, Instant)> {
        let (mark, sent) = (self.scene.clock.mark(), Instant::now());
        self.scene.site.worker(NODE)?.kubelet.label(key, set.then_some("true")).await?;
        let seen = self.scene.clock.wait(mark, LIMIT, |sighting| sighting.name == NODE).await?;
        Ok((sent, seen))
    }
}
