//! Everything that the story is played on, and how one step of it is measured.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tidegate_core::log::Phase;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::cluster::ClusterOptions;
use tidegate_testbed::measure::{ApiClock, Sighting, StatusReader};
use tidegate_testbed::site::Tidegate;
use tidegate_testbed::traffic::{Snapshot, Traffic, TrafficOptions};
use tidegate_testbed::{Site, SiteOptions};
use tokio::task::JoinHandle;

use super::picture::Picture;
use super::screen::Screen;

const LIMIT: Duration = Duration::from_secs(40);
const FRAME: Duration = Duration::from_millis(250);
/// Short, so that the story is: a production setting is 10 s.
pub const JOIN_DELAY: Duration = Duration::from_secs(1);
/// Longer than the ingress keeps a busy connection (10 s).
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(14);

/// One measured step.
#[derive(Debug)]
pub struct Step {
    pub name: String,
    /// From the API event to verified live in nginx.
    pub to_live: Duration,
    pub traffic: Snapshot,
}

pub struct Stage {
    pub site: Site,
    pub tidegate: Tidegate,
    pub clock: ApiClock,
    pub traffic: Option<Arc<Traffic>>,
    status: StatusReader,
    ticker: Option<JoinHandle<()>>,
}

impl Stage {
    /// A cluster without nodes, and a load balancer with `tidegate run`.
    pub async fn set_up(screen: &Screen) -> Result<Self> {
        let cluster = ClusterOptions { controller_manager: true, ..ClusterOptions::default() };
        let site = Site::start(SiteOptions { workers: 0, cluster, ..SiteOptions::default() }).await?;
        let tidegate = site.spawn_tidegate(&config(&site))?;
        let clock = ApiClock::start(site.cluster.client().await?).await?;
        let mut status = StatusReader::new(&site.lb(Site::LB)?.host, api()?);
        let up = status.wait_up(Duration::from_secs(20)).await;
        up.with_context(|| format!("the end of tidegate's log:\n{}", tidegate.log_tail(20)))?;
        let mut stage = Self { site, tidegate, clock, status, traffic: None, ticker: None };
        stage.redraw(screen)?;
        Ok(stage)
    }

    /// Starts the client; from here on every request counts.
    pub fn send_traffic(&mut self, rate: u32, screen: &Screen) -> Result<()> {
        let options = TrafficOptions {
            new_per_second: rate.div_ceil(2),
            keepalive_per_second: rate / 2,
            ..TrafficOptions::new(self.site.lb_address(80)?)
        };
        self.traffic = Some(Arc::new(self.site.traffic(options)?));
        self.redraw(screen)
    }

    /// Waits for an API event after `mark`, then until the node stands in `phase` and that is live.
    pub async fn measure(
        &mut self,
        mark: usize,
        event: impl Fn(&Sighting) -> bool,
        node: &str,
        phase: Phase,
    ) -> Result<Duration> {
        let happened = self.clock.wait(mark, LIMIT, event).await?;
        let what = format!("{node} {} and live", phase.as_str());
        let live = self.wait(&what, |status| stands(status, node, phase) && in_sync(status)).await?;
        Ok(live.saturating_duration_since(happened))
    }

    /// Waits until the status satisfies `wanted`.
    pub async fn wait(&mut self, what: &str, wanted: impl Fn(&ClusterStatus) -> bool) -> Result<Instant> {
        let reached = self.status.wait(what, LIMIT, wanted).await;
        let (at, _) = reached.with_context(|| format!("the end of tidegate's log:\n{}", self.tidegate.log_tail(20)))?;
        Ok(at)
    }

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
        let mut status = StatusReader::new(&self.site.lb(Site::LB)?.host, api()?);
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

/// Where the controller's API is, on the load balancer machine.
pub fn api() -> Result<SocketAddr> {
    Ok("127.0.0.1:8685".parse()?)
}

pub fn stands(status: &ClusterStatus, node: &str, phase: Phase) -> bool {
    let found = status.nodes.iter().find(|known| known.name.as_str() == node);
    found.map_or(phase == Phase::Out, |known| known.state == phase)
}

pub fn in_sync(status: &ClusterStatus) -> bool {
    status.desired.is_some() && status.load_balancers.iter().all(|lb| lb.in_sync)
}

/// Where the demo's files are.
pub fn files(site: &Site) -> (PathBuf, PathBuf) {
    (site.folder().join("tidegate.db"), site.folder().join("nginx.conf"))
}

fn config(site: &Site) -> String {
    let (store, nginx) = files(site);
    format!(
        "cluster: {{ name: demo, kubeconfig: {kubeconfig} }}
nodes: {{ joinDelay: {join}s, drainTimeout: {drain}s }}
store: {{ sqlite: {{ path: {store} }} }}
listeners:
  - {{ name: http, bind: \"0.0.0.0:80\", targetPort: 80 }}
agent:
  stateDir: {state}
  engine: {{ nginx: {{ configFile: {nginx} }} }}
api: {{ listen: 127.0.0.1:8685 }}
",
        kubeconfig = site.kubeconfig().display(),
        join = JOIN_DELAY.as_secs(),
        drain = DRAIN_TIMEOUT.as_secs(),
        store = store.display(),
        state = site.folder().join("agent").display(),
        nginx = nginx.display(),
    )
}
