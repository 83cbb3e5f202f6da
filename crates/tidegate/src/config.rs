//! The configuration file: text -> tree -> sections as written -> a configuration that can be run.
//!
//! Every stage collects all problems, each with line, column, path and cure; the last one has no
//! `Option` where a value is needed.

pub mod address;
pub mod argument;
pub mod choice;
pub mod defaults;
pub mod files;
pub mod kubernetes;
pub mod listeners;
pub mod load;
pub mod one_line;
pub mod problem;
pub mod raw;
pub mod read;
pub mod schema;
pub mod suggest;
pub mod text;
pub mod tree;
pub mod validate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tidegate_agent::{DriftPolicy, EngineSettings, ProbeSettings};
use tidegate_core::desired::Listener;
use tidegate_core::finalizer::FinalizerPolicy;
use tidegate_core::ids::{ClusterName, LoadBalancerName};
use tidegate_core::lease::LeasePolicy;
use tidegate_core::node::Zone;
use tidegate_core::policy::NodePolicy;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Controller, store and agent in one process.
    Run,
    /// Watches the cluster and drives agents on other machines.
    Controller,
    /// Drives the engine of its machine.
    Agent,
}

impl Role {
    /// The command of this role.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Controller => "controller",
            Self::Agent => "agent",
        }
    }
}

/// What `tidegate run` needs.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The controller's part; it has no load balancers of its own.
    pub controller: ControllerConfig,
    /// The agent's part.
    pub agent: AgentConfig,
}

/// What a controller needs.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// The cluster's name.
    pub cluster: ClusterName,
    /// How to reach its API server; absent: wherever the environment says.
    pub kubeconfig: Option<PathBuf>,
    /// Which nodes receive traffic.
    pub policy: NodePolicy,
    /// Between two complete LISTs.
    pub resync: Duration,
    /// Where decisions are recorded.
    pub store: StoreConfig,
    /// What is served.
    pub listeners: Vec<Listener>,
    /// Who serves it.
    pub load_balancers: Vec<LoadBalancerConfig>,
    /// Which Nodes get a finalizer, and for how long.
    pub finalizer: FinalizerPolicy,
    /// How the replica that decides is chosen; absent: there is only this one.
    pub election: Option<ElectionConfig>,
    /// Where status and metrics are.
    pub api: SocketAddr,
    /// What those who write to the API must show; absent: nobody may.
    pub token_file: Option<PathBuf>,
}

/// Where decisions are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// In this file.
    Sqlite(PathBuf),
    /// In this database.
    Mongodb(MongodbConfig),
}

/// A database that several controllers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongodbConfig {
    /// Holds the connection string.
    pub uri_file: PathBuf,
    /// Its name.
    pub database: String,
}

/// How replicas choose the one that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionConfig {
    /// Namespace of the Lease; absent: that of the pod, else the default.
    pub namespace: Option<String>,
    /// Name of the Lease.
    pub lease: String,
    /// Its durations.
    pub policy: LeasePolicy,
}

/// A load balancer machine.
#[derive(Clone, Debug)]
pub struct LoadBalancerConfig {
    /// Its name.
    pub name: LoadBalancerName,
    /// Where its agent listens.
    pub url: reqwest::Url,
    /// Signs what is sent.
    pub secret_file: PathBuf,
    /// What its certificate must come from; absent: the CAs of the operating system.
    pub ca_file: Option<PathBuf>,
    /// What we show it: certificate and key.
    pub client_identity: Option<(PathBuf, PathBuf)>,
    /// For one push.
    pub timeout: Duration,
}

/// What an agent needs.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The only cluster whose states it takes; absent: that of the first one.
    pub cluster: Option<ClusterName>,
    /// Where it keeps the last state that worked.
    pub state_dir: PathBuf,
    /// What carries the traffic.
    pub engine: EngineSettings,
    /// What becomes of foreign changes to what is live.
    pub drift: DriftPolicy,
    /// How it asks the nodes; absent: it does not.
    pub probes: Option<ProbeSettings>,
    /// Its zone, for listeners that prefer it.
    pub zone: Option<Zone>,
    /// Where it receives states.
    pub webhook: WebhookConfig,
}

/// Where an agent receives states.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Any of them may have signed.
    pub secret_files: Vec<PathBuf>,
    /// Certificates; absent: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Larger requests are refused.
    pub max_body_bytes: u64,
}

/// Certificates of an agent.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Certificate chain.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// What a controller's certificate must come from; absent: controllers need none.
    pub client_ca_file: Option<PathBuf>,
}
