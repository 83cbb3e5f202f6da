//! A real control plane: etcd, kube-apiserver and, on request, the node lifecycle controller.

pub mod audit;
mod faults;
mod kubeconfig;
pub mod pki;
pub(crate) mod ports;
mod servers;
pub mod service_account;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::core::params::GetParams;

use crate::process::Process;
use crate::run::{self, Scratch};
use crate::{deadline, http};
use audit::Audit;
use kubeconfig::Identity;
use pki::Pki;
use servers::Binaries;

/// An API server on an empty etcd needs 2.5 to 3.6 s alone, several times that beside a build.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Which etcd stores the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Etcd {
    /// 3.6.16, built from `testservers/etcd`.
    #[default]
    Current,
    /// Debian's 3.4.23, on which streaming lists answer 500.
    Old,
}

#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Runs the node lifecycle controller: nodes without heartbeats turn `NotReady`. Off by default,
    /// since it also marks plain Node objects that a test posts.
    pub controller_manager: bool,
    /// How long a node may miss heartbeats before it is `Unknown` (Kubernetes default: 50 s).
    pub node_grace: Duration,
    pub etcd: Etcd,
    /// Without the watch cache, [`Cluster::compact`] makes watches answer 410 Gone.
    pub watch_cache: bool,
    /// Writes down who asked for what: [`Cluster::audit`].
    pub audit: bool,
    /// Appended to the command line of kube-apiserver.
    pub apiserver_args: Vec<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            controller_manager: false,
            node_grace: Duration::from_secs(4),
            etcd: Etcd::Current,
            watch_cache: true,
            audit: false,
            apiserver_args: Vec::new(),
        }
    }
}

/// A running control plane. Dropping it kills the processes and removes their folder.
#[derive(Debug)]
pub struct Cluster {
    // Fields drop in this order: clients of a server before the server.
    controller_manager: Option<Process>,
    apiserver: Process,
    etcd: Process,
    pki: Pki,
    kubeconfig: PathBuf,
    address: SocketAddr,
    etcd_address: SocketAddr,
    scratch: Scratch,
}

impl Cluster {
    /// Starts everything and waits until the API server is ready.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let wanted = options.clone();
        let binaries = tokio::task::spawn_blocking(move || Binaries::ensure(&wanted)).await??;
        let scratch = run::current()?.scratch("cluster")?;
        let folder = scratch.path();
        let pki = Pki::create(folder)?;
        let [client, peer, secure] = ports::three()?;
        let etcd = Process::spawn(servers::etcd(&binaries, folder, client, peer))?;
        wait_for_port(&etcd, client).await?;
        let mut options = options;
        if options.audit {
            options.apiserver_args.extend(audit::flags(folder)?);
        }
        let apiserver = Process::spawn(servers::apiserver(&binaries, folder, &options, client, secure))?;
        let kubeconfig = folder.join("admin.kubeconfig");
        let mut cluster = Self {
            kubeconfig,
            controller_manager: None,
            apiserver,
            etcd,
            address: secure,
            etcd_address: client,
            pki,
            scratch,
        };
        let admin = cluster.pki.client("tidegate-admin", Some("system:masters"))?;
        cluster.write_kubeconfig(&cluster.kubeconfig, &admin)?;
        cluster.wait_ready().await?;
        if let Some(binary) = &binaries.controller_manager {
            let spec = servers::controller_manager(binary, cluster.folder(), &cluster.kubeconfig, &options);
            cluster.controller_manager = Some(Process::spawn(spec)?);
        }
        Ok(cluster)
    }

    /// One cluster per test binary, for tests that only need an API server and keep apart by label,
    /// namespace or name. It has no controller manager. Tests of faults start their own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: tokio::sync::OnceCell<Cluster> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(ClusterOptions::default())).await
    }

    /// A client with every right. It belongs to the async runtime that makes it: each test its own.
    pub async fn client(&self) -> Result<kube::Client> {
        client_of(&self.kubeconfig).await
    }

    /// A client of an ordinary user, who may do what RBAC objects allow.
    pub async fn client_as(&self, user: &str, group: Option<&str>) -> Result<kube::Client> {
        client_of(&self.kubeconfig_for(user, group)?).await
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Writes a kubeconfig for a user with a new client certificate, and returns its path.
    pub fn kubeconfig_for(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let path = self.folder().join(format!("{user}.kubeconfig"));
        self.write_kubeconfig(&path, &self.pki.client(user, group)?)?;
        Ok(path)
    }

    /// What was asked of this cluster since its start; it must have been started with `audit: true`.
    pub fn audit(&self) -> Audit {
        Audit::of(self.folder())
    }

    /// Where kube-apiserver listens: 127.0.0.1 and a port of its own, kept over restarts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Waits until `/readyz` says ok; the error carries the end of the server's log.
    pub async fn wait_ready(&self) -> Result<()> {
        let client = self.client().await?;
        let ready = deadline::until("kube-apiserver ready", READY_WITHIN, || async {
            if !self.apiserver.is_running() {
                return Some(false);
            }
            let request = Request::new("").get("readyz", &GetParams::default()).ok()?;
            client.request_text(request).await.ok().map(|_| true)
        });
        match ready.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(anyhow::anyhow!("kube-apiserver ended")),
            Err(error) => Err(error),
        }
        .with_context(|| format!("the end of its log:\n{}", self.apiserver.log_tail(15)))
    }

    fn write_kubeconfig(&self, path: &Path, credentials: &pki::Credentials) -> Result<()> {
        kubeconfig::write(path, self.address, &self.pki.ca_file(), &Identity::Certificate(credentials))
    }

    async fn etcd_post(&self, path: &str, json: &str) -> Result<serde_json::Value> {
        let answer = http::post_json(self.etcd_address, path, json)
            .await
            .map_err(|failure| anyhow::anyhow!("etcd {path}: {failure:?}"))?;
        anyhow::ensure!(answer.status == 200, "etcd {path}: {} {}", answer.status, answer.body);
        Ok(serde_json::from_str(&answer.body)?)
    }
}

/// A client for a kubeconfig file, with timeouts: kube has none by default, and tests stop servers.
pub async fn client_of(kubeconfig: &Path) -> Result<kube::Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(Duration::from_secs(30));
    config.reset_reader_on_write = true;
    Ok(kube::Client::try_from(config)?)
}

async fn wait_for_port(server: &Process, address: SocketAddr) -> Result<()> {
    deadline::until(&format!("{} listening", server.name()), READY_WITHIN, || async {
        tokio::net::TcpStream::connect(address).await.ok()
    })
    .await
    .with_context(|| format!("the end of its log:\n{}", server.log_tail(15)))?;
    Ok(())
}
