//! A whole site in one call: a cluster, workers with an ingress, a load balancer machine, a client.
//!
//! ```text
//!  client ---- switch ---- lb (tidegate + engine) ---- relay ----> kube-apiserver (root namespace)
//!                 |
//!                 +---- worker-1..n: nginx ingress on :80, kubelet heartbeats
//! ```

mod rights;
mod tidegate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use crate::cluster::{Cluster, ClusterOptions};
use crate::ingress::{Ingress, IngressOptions};
use crate::kubelet::{Kubelet, KubeletOptions};
use crate::lab::{self, Host, Lab};
use crate::manifests;
use crate::process::Spec;
use crate::relay::Relay;
use crate::run::{self, Scratch};
use crate::traffic::{Traffic, TrafficOptions};
pub use rights::Rights;
pub use tidegate::Tidegate;

#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// `worker-1` to `worker-n`.
    pub workers: u32,
    pub cluster: ClusterOptions,
    pub ingress: IngressOptions,
    pub rights: Rights,
    /// The binary under test: `$TIDEGATE_BIN`, else `target/debug/tidegate`.
    pub binary: PathBuf,
}

impl Default for SiteOptions {
    fn default() -> Self {
        Self {
            workers: 3,
            cluster: ClusterOptions { controller_manager: true, ..ClusterOptions::default() },
            ingress: IngressOptions::default(),
            rights: Rights::default(),
            binary: tidegate::default_binary(),
        }
    }
}

impl SiteOptions {
    /// Without the lifecycle controller: on a busy machine it would add NotReady nodes that nobody planned.
    pub fn without_lifecycle() -> Self {
        Self { cluster: ClusterOptions::default(), ..Self::default() }
    }
}

/// A node: its machine, its agent and its ingress.
#[derive(Debug)]
pub struct Worker {
    pub kubelet: Kubelet,
    pub ingress: Ingress,
    pub host: Host,
}

/// A load balancer machine, which reaches the API server through its own relay.
#[derive(Debug)]
pub struct LoadBalancer {
    pub relay: Relay,
    pub host: Host,
}

/// Everything together. Dropping it stops and removes all of it.
#[derive(Debug)]
pub struct Site {
    // Dropped in this order: what runs on the machines before the machines.
    pub workers: BTreeMap<String, Worker>,
    pub lbs: BTreeMap<String, LoadBalancer>,
    pub client: Host,
    pub lab: Lab,
    pub cluster: Cluster,
    options: SiteOptions,
    kubeconfig: PathBuf,
    scratch: Scratch,
}

impl Site {
    /// The load balancer that is always there.
    pub const LB: &str = "lb";

    pub async fn start(options: SiteOptions) -> Result<Self> {
        let mut lab = Lab::new()?;
        let client = lab.add_host("client")?;
        let cluster = Cluster::start(options.cluster.clone()).await?;
        let kubeconfig = options.rights.grant(&cluster).await?;
        let scratch = run::current()?.scratch("site")?;
        let (workers, lbs) = (BTreeMap::new(), BTreeMap::new());
        let mut site = Self { workers, lbs, client, lab, cluster, options, kubeconfig, scratch };
        site.add_lb(Self::LB).await?;
        for number in 1..=site.options.workers {
            site.add_worker(&format!("worker-{number}")).await?;
        }
        Ok(site)
    }

    /// A new machine joins: its ingress serves before its node is Ready.
    pub async fn add_worker(&mut self, name: &str) -> Result<&Worker> {
        ensure!(!self.workers.contains_key(name), "there is a worker {name} already");
        let host = self.lab.add_host(name)?;
        let ingress = Ingress::start(&host, name, self.options.ingress.clone()).await?;
        let node = KubeletOptions::new(name, lab::addresses(&host));
        let kubelet = Kubelet::start(self.cluster.client().await?, node).await?;
        Ok(self.workers.entry(name.to_owned()).or_insert(Worker { kubelet, ingress, host }))
    }

    pub fn worker(&self, name: &str) -> Result<&Worker> {
        self.workers.get(name).with_context(|| format!("there is no worker {name}"))
    }

    /// The machine loses power: no packet and no heartbeat from now on. The Node object stays.
    pub fn power_off(&self, name: &str) -> Result<()> {
        let worker = self.worker(name)?;
        worker.kubelet.stop();
        worker.host.unplug()?;
        worker.ingress.kill9()
    }

    pub async fn power_on(&self, name: &str) -> Result<()> {
        let worker = self.worker(name)?;
        worker.host.plug()?;
        worker.ingress.restart().await?;
        worker.kubelet.resume().await
    }

    /// Takes a machine out of the rack. Delete its Node first, or leave it behind.
    pub fn remove_worker(&mut self, name: &str) -> Result<()> {
        drop(self.workers.remove(name).with_context(|| format!("there is no worker {name}"))?);
        self.lab.remove_host(name)
    }

    /// Another load balancer machine.
    pub async fn add_lb(&mut self, name: &str) -> Result<&LoadBalancer> {
        ensure!(!self.lbs.contains_key(name), "there is a load balancer {name} already");
        let host = self.lab.add_host(name)?;
        let relay = Relay::start(&host, self.cluster.address()).await?;
        Ok(self.lbs.entry(name.to_owned()).or_insert(LoadBalancer { relay, host }))
    }

    pub fn lb(&self, name: &str) -> Result<&LoadBalancer> {
        self.lbs.get(name).with_context(|| format!("there is no load balancer {name}"))
    }

    /// Where clients reach the first load balancer.
    pub fn lb_address(&self, port: u16) -> Result<SocketAddr> {
        Ok(self.lb(Self::LB)?.host.address(port))
    }

    /// A kubeconfig with the rights that Tidegate asks its users for, valid on every load balancer machine.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A folder for the site's files: configs, state, logs.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts `tidegate run` with this config on the first load balancer machine.
    pub fn spawn_tidegate(&self, config_yaml: &str) -> Result<Tidegate> {
        self.spawn_tidegate_on(Self::LB, "run", config_yaml)
    }

    /// Starts `tidegate <role>` on a load balancer machine, logging to a file of its own.
    pub fn spawn_tidegate_on(&self, lb: &str, role: &str, config_yaml: &str) -> Result<Tidegate> {
        let host = &self.lb(lb)?.host;
        let name = format!("tidegate-{lb}-{role}-{}", run::current()?.number());
        let config = self.folder().join(format!("{name}.yaml"));
        fs::write(&config, config_yaml)?;
        let (binary, file) = (self.binary()?, config.display().to_string());
        let argv = host.argv(&[&binary, role, "-c", &file]);
        let log = self.folder().join(format!("{name}.log"));
        let mut spec = Spec::new(&name, argv, log);
        // The machines of the lab share a host name, which in a pod or on machines of their own would tell them apart.
        spec.env.push(("POD_NAME".to_owned(), lb.to_owned()));
        if role == "controller" {
            spec.env.extend(manifests::image_environment()?);
        }
        Tidegate::start(spec, config)
    }

    /// A `tidegate` command on a load balancer machine, such as `status -o json`.
    pub fn tidegate_command(&self, lb: &str, args: &[&str]) -> Result<std::process::Command> {
        let mut command = self.lb(lb)?.host.command(&self.binary()?);
        command.args(args);
        Ok(command)
    }

    /// Traffic from the client machine.
    pub fn traffic(&self, options: TrafficOptions) -> Result<Traffic> {
        Traffic::start(&self.client, options)
    }

    fn binary(&self) -> Result<String> {
        let path = &self.options.binary;
        ensure!(path.is_file(), "{} does not exist: run `cargo build -p tidegate` first", path.display());
        Ok(path.display().to_string())
    }
}
