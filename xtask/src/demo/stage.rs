//! Everything that the story is played on, and how one step of it is measured.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_testbed::cluster::ClusterOptions;
use tidegate_testbed::measure::StatusReader;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, api};
use tidegate_testbed::traffic::{Snapshot, Traffic, TrafficOptions};
use tidegate_testbed::{Site, SiteOptions};
use tokio::task::JoinHandle;

use super::picture::Picture;
use super::screen::Screen;

const FRAME: Duration = Duration::from_millis(250);

/// One measured step.
#[derive(Debug)]
pub struct Step {
    pub name: String,
    /// From the API event to verified live in nginx.
    pub to_live: Duration,
    pub traffic: Snapshot,
}

pub struct Stage {
    pub scene: Scenario,
    traffic: Option<Arc<Traffic>>,
    ticker: Option<JoinHandle<()>>,
}

impl Stage {
    /// A cluster without nodes, and a load balancer with `tidegate run`.
    pub async fn set_up(screen: &Screen) -> Result<Self> {
        let cluster = ClusterOptions { controller_manager: true, ..ClusterOptions::default() };
        let options = SiteOptions { workers: 0, cluster, ..SiteOptions::default() };
        let scene = Scenario::start(options, RunConfig::default()).await?;
        let mut stage = Self { scene, traffic: None, ticker: None };
        stage.redraw(screen)?;
        Ok(stage)
    }

    /// Starts the client; from here on every request counts.
    pub fn send_traffic(&mut self, rate: u32, screen: &Screen) -> Result<()> {
        let options = TrafficOptions {
            new_per_second: rate.div_ceil(2),
            keepalive_per_second: rate / 2,
            ..TrafficOptions::new(self.scene.site.lb_address(PORT)?)
        };
        self.traffic = Some(Arc::new(self.scene.site.traffic(options)?));
        self.redraw(screen)
    }

    /// The numbers so far.
    pub fn stats(&self) -> Snapshot {
        self.traffic.as_ref().map(|traffic| traffic.stats()).unwrap_or_default()
    }

    /// Ends the client and gives its final numbers.
    pub async fn end_traffic(&mut self) -> Result<Snapshot> {
        if let Some(ticker) = self.ticker.take() {
            ticker.abort();
            let _ = ticker.await;
        }
        let traffic = self.traffic.take().and_then(Arc::into_inner).context("the traffic is still in use")?;
        traffic.stop().await
    }

    fn redraw(&mut self, screen: &Screen) -> Result<()> {
        if let Some(ticker) = self.ticker.take() {
            ticker.abort();
        }
        let mut status = StatusReader::new(&self.scene.site.lb(Site::LB)?.host, api()?);
        let (screen, traffic) = (screen.clone(), self.traffic.clone());
        self.ticker = Some(tokio::spawn(async move {
            let mut earlier = Snapshot::default();
            let mut frames = tokio::time::interval(FRAME);
            loop {
                frames.tick().await;
                let now = status.read().await.ok();
                let total = traffic.as_ref().map(|traffic| traffic.stats()).unwrap_or_default();
                let moment = total.since(&earlier);
                screen.draw(Picture { status: now.as_ref(), moment: &moment, total: &total }.text());
                // The last second or so: single frames are too noisy to read.
                if moment.elapsed > Duration::from_secs(1) {
                    earlier = total;
                }
            }
        }));
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
        }
    }
}
