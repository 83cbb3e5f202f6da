//! The site of the benches: the release binary on one load balancer machine.

use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_testbed::cluster::ClusterOptions;
use tidegate_testbed::measure::StatusReader;
use tidegate_testbed::site::Tidegate;
use tidegate_testbed::{Site, SiteOptions};

/// Where the controller's API is, on the load balancer machine.
const API: &str = "127.0.0.1:8685";

pub struct Bed {
    pub tidegate: Tidegate,
    pub status: StatusReader,
    pub site: Site,
}

impl Bed {
    /// `workers` nodes, and `tidegate run` with a reload floor that is not in the way of a measurement.
    pub async fn start(workers: u32) -> Result<Self> {
        let binary = crate::build::release_binary();
        let options = SiteOptions { workers, cluster: ClusterOptions::default(), binary, ..SiteOptions::default() };
        let site = Site::start(options).await?;
        let tidegate = site.spawn_tidegate(&config(&site))?;
        let mut status = StatusReader::new(&site.lb(Site::LB)?.host, API.parse()?);
        let up = status.wait_up(Duration::from_secs(20)).await;
        up.with_context(|| tidegate.log_tail(20))?;
        Ok(Self { tidegate, status, site })
    }
}

fn config(site: &Site) -> String {
    let folder = site.folder().display();
    format!(
        "cluster: {{ name: bench, kubeconfig: {kubeconfig} }}
nodes: {{ joinDelay: 0s, drainTimeout: 1h }}
store: {{ sqlite: {{ path: {folder}/tidegate.db }} }}
listeners:
  - {{ name: http, bind: \"0.0.0.0:80\", targetPort: 80 }}
agent:
  stateDir: {folder}/agent
  engine: {{ nginx: {{ configFile: {folder}/nginx.conf, minReloadInterval: 50ms }} }}
api: {{ listen: {API} }}
",
        kubeconfig = site.kubeconfig().display(),
    )
}
