//! A site with `tidegate run` on its load balancer: what the demo, the benches and most tests start from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tidegate_core::engine::EngineKind;
use tidegate_core::log::Phase;
use tidegate_core::status::{ClusterStatus, NodeStatus};

use crate::measure::{ApiClock, Sighting, StatusReader};
use crate::servers::ensure_envoy;
use crate::site::Tidegate;
use crate::{Site, SiteOptions};

/// Where the controller's API listens, on the load balancer machine.
const API: &str = "127.0.0.1:8685";
/// Where the load balancer serves.
pub const PORT: u16 = 80;
/// A step that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// The configuration of `tidegate run`, as text for the YAML file.
#[derive(Debug, Clone)]
pub struct RunConfig {
    pub join_delay: &'static str,
    pub drain_timeout: &'static str,
    pub resync: &'static str,
    /// What carries the traffic; `custom` is not among them.
    pub engine: EngineKind,
    /// For nginx.
    pub min_reload_interval: &'static str,
    /// A template of the user's own.
    pub template: Option<PathBuf>,
    /// More keys of `nodes`, as `key: value` pairs.
    pub nodes: &'static str,
    /// More listeners, each as the YAML of one line.
    pub more_listeners: Vec<&'static str>,
    /// More keys of the engine, as `key: value` pairs.
    pub engine_extra: &'static str,
    /// More keys of the listener, as `key: value` pairs.
    pub listener_extra: &'static str,
    /// One more key of the agent, as `key: value`.
    pub agent_extra: &'static str,
    /// More keys of the API, as `key: value` pairs.
    pub api_extra: &'static str,
    /// Where the engine's configuration goes; the site's folder when not given.
    pub config_file: Option<PathBuf>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            // Short, so that tests are; everything else as a user has it.
            join_delay: "1s",
            drain_timeout: "12s",
            resync: "60s",
            engine: EngineKind::Nginx,
            min_reload_interval: "1s",
            template: None,
            nodes: "",
            more_listeners: Vec::new(),
            engine_extra: "",
            listener_extra: "",
            agent_extra: "",
            api_extra: "",
            config_file: None,
        }
    }
}

impl RunConfig {
    /// The file, for a site.
    pub fn yaml(&self, site: &Site) -> String {
        let folder = site.folder().display();
        let extra = more(self.nodes);
        let listeners: Vec<String> = self.more_listeners.iter().map(|listener| format!("  - {listener}\n")).collect();
        let listeners = listeners.concat();
        format!(
            "cluster: {{ name: testbed, kubeconfig: {kubeconfig} }}
nodes: {{ joinDelay: {join}, drainTimeout: {drain}{extra} }}
resync: {resync}
store: {{ sqlite: {{ path: {folder}/tidegate.db }} }}
listeners:
  - {{ name: http, bind: \"0.0.0.0:{PORT}\", targetPort: 80{listener} }}
{listeners}agent:
  stateDir: {folder}/agent
{agent}  engine: {{ {engine}: {{ configFile: {config_file}{keys} }} }}
api: {{ listen: {API}{api} }}
",
            kubeconfig = site.kubeconfig().display(),
            listener = more(self.listener_extra),
            agent = line(self.agent_extra),
            api = more(self.api_extra),
            join = self.join_delay,
            drain = self.drain_timeout,
            resync = self.resync,
            engine = self.engine,
            config_file = self.config_file(site).display(),
            keys = self.engine_keys(),
        )
    }

    fn engine_keys(&self) -> String {
        let template = self.template.as_ref().map(|path| format!(", template: {}", path.display())).unwrap_or_default();
        let keys = match self.engine {
            EngineKind::Nginx => format!(", minReloadInterval: {}{template}", self.min_reload_interval),
            // Without one in the cache the check of the configuration says what is missing.
            EngineKind::Envoy => {
                let binary = ensure_envoy().unwrap_or_else(|_| PathBuf::from("envoy"));
                format!(", binary: {}{template}", binary.display())
            }
            _ => template,
        };
        keys + &more(self.engine_extra)
    }

    /// Where the engine's configuration is.
    pub fn config_file(&self, site: &Site) -> PathBuf {
        let name = match self.engine {
            EngineKind::Haproxy => "haproxy.cfg",
            EngineKind::Envoy => "envoy.json",
            EngineKind::Nftables => "nftables.nft",
            EngineKind::Nginx | EngineKind::Custom => "nginx.conf",
        };
        self.config_file.clone().unwrap_or_else(|| site.folder().join(name))
    }
}

/// A line of the agent's section.
fn line(pairs: &str) -> String {
    if pairs.is_empty() { String::new() } else { format!("  {pairs}\n") }
}

/// Pairs behind others of the same mapping.
fn more(pairs: &str) -> String {
    if pairs.is_empty() { String::new() } else { format!(", {pairs}") }
}

/// A running site with a running `tidegate`. Everything goes when it is dropped.
#[derive(Debug)]
pub struct Scenario {
    pub tidegate: Tidegate,
    pub status: StatusReader,
    pub clock: ApiClock,
    pub config: RunConfig,
    pub site: Site,
}

impl Scenario {
    /// Starts the site, then `tidegate run`, and waits until its API answers.
    pub async fn start(options: SiteOptions, config: RunConfig) -> Result<Self> {
        Self::start_on(Site::start(options).await?, config).await
    }

    async fn start_on(site: Site, config: RunConfig) -> Result<Self> {
        let clock = ApiClock::start(site.cluster.client().await?).await?;
        let tidegate = site.spawn_tidegate(&config.yaml(&site))?;
        let status = StatusReader::new(&site.lb(Site::LB)?.host, api()?);
        let mut scenario = Self { tidegate, status, clock, config, site };
        scenario.wait_up().await?;
        Ok(scenario)
    }

    /// As [`Self::start`], and waits until every worker is live.
    pub async fn serving(options: SiteOptions, config: RunConfig) -> Result<Self> {
        Self::serving_on(Site::start(options).await?, config).await
    }

    /// The same on a site that is there already.
    pub async fn serving_on(site: Site, config: RunConfig) -> Result<Self> {
        let workers = site.workers.len();
        let mut scenario = Self::start_on(site, config).await?;
        scenario.wait("every worker live", |status| in_sync(status) && active(status) == workers).await?;
        Ok(scenario)
    }

    /// As an operator does: ends `tidegate`, and starts it with another configuration. Waits until that is live.
    pub async fn reconfigure(&mut self, config: RunConfig) -> Result<()> {
        self.tidegate.reconfigure(&config.yaml(&self.site))?;
        self.config = config;
        self.tidegate.terminate(LIMIT).await?;
        self.tidegate.restart()?;
        self.wait_up().await?;
        self.wait("another configuration live", in_sync).await?;
        Ok(())
    }

    /// Waits until a tidegate that was just (re)started answers.
    pub async fn wait_up(&mut self) -> Result<()> {
        let up = self.status.wait_up(Duration::from_secs(20)).await;
        up.with_context(|| self.log())
    }

    /// Waits until the status satisfies `wanted`; an error carries the end of tidegate's log.
    pub async fn wait(
        &mut self,
        what: &str,
        wanted: impl Fn(&ClusterStatus) -> bool,
    ) -> Result<(Instant, ClusterStatus)> {
        let reached = self.status.wait(what, LIMIT, wanted).await;
        reached.with_context(|| self.log())
    }

    /// Waits until a node stands in `phase` and every load balancer serves that.
    pub async fn wait_phase(&mut self, node: &str, phase: Phase) -> Result<Instant> {
        let what = format!("{node} {} and live", phase.as_str());
        let (at, _) = self.wait(&what, |status| stands(status, node, phase) && in_sync(status)).await?;
        Ok(at)
    }

    /// Waits until a node takes no new connections and every load balancer serves that.
    pub async fn wait_left(&mut self, node: &str) -> Result<Instant> {
        let what = format!("{node} takes no new connections, live");
        let (at, _) = self.wait(&what, |status| left(status, node) && in_sync(status)).await?;
        Ok(at)
    }

    /// From the first API event after `mark` that satisfies `event` until the node stands in `phase` and that is live.
    pub async fn measure(
        &mut self,
        mark: usize,
        event: impl Fn(&Sighting) -> bool,
        node: &str,
        phase: Phase,
    ) -> Result<Duration> {
        let happened = self.clock.wait(mark, LIMIT, event).await?;
        Ok(self.wait_phase(node, phase).await?.saturating_duration_since(happened))
    }

    fn log(&self) -> String {
        format!("the end of tidegate's log:\n{}", self.tidegate.log_tail(25))
    }
}

/// Where the controller's API is, on the load balancer machine.
pub fn api() -> Result<SocketAddr> {
    Ok(API.parse()?)
}

/// A node of the status.
pub fn node<'a>(status: &'a ClusterStatus, name: &str) -> Option<&'a NodeStatus> {
    status.nodes.iter().find(|known| known.name.as_str() == name)
}

/// Whether a node stands in `phase`; one that the status does not know is out.
pub fn stands(status: &ClusterStatus, name: &str, phase: Phase) -> bool {
    node(status, name).map_or(phase == Phase::Out, |known| known.state == phase)
}

/// Whether a node takes no new connections: it drains, or is out already, because an idle drain ends early.
pub fn left(status: &ClusterStatus, name: &str) -> bool {
    !stands(status, name, Phase::Active)
}

/// How many nodes take new connections.
pub fn active(status: &ClusterStatus) -> usize {
    status.nodes.iter().filter(|node| node.state == Phase::Active).count()
}

/// Whether every load balancer serves what is desired.
pub fn in_sync(status: &ClusterStatus) -> bool {
    status.desired.is_some() && status.load_balancers.iter().all(|lb| lb.in_sync)
}
