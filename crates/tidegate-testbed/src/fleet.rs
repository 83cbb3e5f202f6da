//! Thousands of nodes that exist only in the API, in front of them `tidegate controller` and `tidegate agent` as processes
//! of their own on one load balancer machine: for scale.

mod burst;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tidegate_core::finalizer::FINALIZER;
use tidegate_core::status::ClusterStatus;

use crate::cluster::ClusterOptions;
use crate::kubelet::{Bulk, Size};
use crate::lab::{Host, Task};
use crate::measure::StatusReader;
use crate::replicas::{AGENT_PORT, lb_yaml, spawn_agent};
use crate::scenario::{active, api, in_sync};
use crate::site::Tidegate;
use crate::{Site, SiteOptions};

pub use burst::{Burst, Change, Told};

/// Where every node of the fleet answers: all their addresses are the load balancer's own.
const NODE_PORT: u16 = 8080;
/// For thousands of nodes, on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);
/// A status of thousands of nodes is megabytes: reading it must not be what is measured.
const POLL: Duration = Duration::from_millis(250);

/// What differs between the tests and benches of scale.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    pub nodes: u32,
    pub size: Size,
    /// The binary under test.
    pub binary: PathBuf,
    pub resync: &'static str,
    /// The listener's probe, as YAML.
    pub probe: &'static str,
}

impl FleetOptions {
    /// Slim nodes that nobody asks, with a resync that does not come while a test lasts.
    pub fn new(nodes: u32) -> Self {
        let binary = SiteOptions::default().binary;
        Self { nodes, size: Size::Slim, binary, resync: "10m", probe: "{ none: {} }" }
    }
}

/// All of it, running. Dropping it stops and removes everything.
#[derive(Debug)]
pub struct Fleet {
    pub controller: Tidegate,
    pub agent: Tidegate,
    pub bulk: Bulk,
    pub status: StatusReader,
    pub site: Site,
    /// Answers for every node.
    pub nodes: Task<()>,
}

impl Fleet {
    /// Starts everything and waits until every node is live and has its finalizer.
    pub async fn serving(options: FleetOptions) -> Result<Self> {
        let FleetOptions { nodes, size, binary, resync, probe } = options;
        let site = Site::start(SiteOptions {
            workers: 0,
            cluster: ClusterOptions::default(),
            binary,
            ..SiteOptions::default()
        });
        let site = site.await?;
        let bulk = Bulk::create(site.cluster.client().await?, "node", nodes, size).await?;
        let host = &site.lb(Site::LB)?.host;
        let answering = answer(host)?;
        let agent = spawn_agent(&site)?;
        let controller = site.spawn_tidegate_on(Site::LB, "controller", &controller_yaml(&site, resync, probe)?)?;
        let mut status = StatusReader::new(host, api()?);
        status.every = POLL;
        let mut fleet = Self { controller, agent, bulk, status, site, nodes: answering };
        fleet.status.wait_up(LIMIT).await.with_context(|| fleet.log())?;
        fleet.wait("every node live", |status| in_sync(status) && active(status) == nodes as usize).await?;
        // A few at a time, thousands of patches: without them it is not at rest.
        fleet.bulk.wait_held(FINALIZER, LIMIT).await.with_context(|| fleet.log())?;
        Ok(fleet)
    }

    /// Waits until the status satisfies `wanted`; an error carries the ends of the logs.
    pub async fn wait(&mut self, what: &str, wanted: impl Fn(&ClusterStatus) -> bool) -> Result<ClusterStatus> {
        let reached = self.status.wait(what, LIMIT, wanted).await;
        // The whole status would be thousands of lines.
        let short = |error: anyhow::Error| anyhow!(error.to_string().chars().take(200).collect::<String>());
        let (_, status) = reached.map_err(short).with_context(|| self.log())?;
        Ok(status)
    }

    /// The sum of the controller's samples of this name that have every one of these labels (`name="value"`).
    pub async fn controller_metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        self.metric(api()?, name, labels).await
    }

    /// The same of the agent.
    pub async fn agent_metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        self.metric(self.site.lb_address(AGENT_PORT)?, name, labels).await
    }

    async fn metric(&self, at: SocketAddr, name: &str, labels: &[&str]) -> Result<f64> {
        let answer = self.site.lb(Site::LB)?.host.get(at, "/metrics").await?;
        ensure!(answer.status == 200, "metrics of {at}: {}", answer.status);
        let samples = answer.body.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
        let wanted = samples.filter(|(have, _)| {
            (have.is_empty() || have.starts_with('{')) && labels.iter().all(|label| have.contains(label))
        });
        wanted.map(|(_, value)| Ok(value.parse::<f64>()?)).sum()
    }

    fn log(&self) -> String {
        format!("controller:\n{}\nagent:\n{}", self.controller.log_tail(15), self.agent.log_tail(15))
    }
}

/// Every address of the fleet is one of this machine, and something accepts there.
fn answer(host: &Host) -> Result<Task<()>> {
    let output = host.command("ip").args(["route", "add", "local", "10.128.0.0/9", "dev", "lo"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    host.start(|| async {
        let Ok(listener) = tokio::net::TcpListener::bind(("0.0.0.0", NODE_PORT)).await else { return };
        while listener.accept().await.is_ok() {}
    })
}

fn controller_yaml(site: &Site, resync: &str, probe: &str) -> Result<String> {
    Ok(format!(
        "cluster: {{ name: testbed, kubeconfig: {kubeconfig} }}
nodes: {{ joinDelay: 0s, drainTimeout: 10m }}
resync: {resync}
store: {{ sqlite: {{ path: {folder}/tidegate.db }} }}
listeners:
  - {{ name: http, bind: \"0.0.0.0:80\", targetPort: {NODE_PORT}, probe: {probe} }}
loadBalancers:
  - {lb}
api: {{ listen: {api} }}
",
        kubeconfig = site.kubeconfig().display(),
        folder = site.folder().display(),
        lb = lb_yaml(site)?,
        api = api()?,
    ))
}
