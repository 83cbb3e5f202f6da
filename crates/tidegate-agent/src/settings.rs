//! What the agent is told when it starts.

mod custom;
mod envoy;
mod haproxy;
mod nftables;
mod nginx;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::engine::EngineKind;
use tidegate_core::ids::ClusterName;
use tidegate_core::node::Zone;

pub use crate::probe::Sources;
pub use custom::CustomSettings;
pub use envoy::EnvoySettings;
pub use haproxy::HaproxySettings;
pub use nftables::{Masquerade, NftablesSettings};
pub use nginx::NginxSettings;

/// Where the agent keeps its own files, when nothing else is said.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/tidegate";

/// Settings of an agent.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The only cluster whose states are taken; absent: the first one that is heard of.
    pub cluster: Option<ClusterName>,
    /// For the snapshot and the engine's own files. One agent each.
    pub state_dir: PathBuf,
    /// The engine it drives.
    pub engine: EngineSettings,
    /// Whether a configuration file that is not ours, or was edited, may be replaced (a copy is kept).
    pub take_over: bool,
    /// How foreign changes to what is live are found, and what becomes of them.
    pub audit: AuditSettings,
    /// How backends are asked whether they answer; absent: they are not.
    pub probes: Option<ProbeSettings>,
    /// The zone of this machine, for listeners that prefer it; absent: it prefers none.
    pub zone: Option<Zone>,
}

/// How the agent asks the backends; what it asks is said by each listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeSettings {
    /// From which addresses; without one of a family, whichever the kernel chooses.
    pub sources: Sources,
}

/// How the engine is asked what it really serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// How often.
    pub every: Duration,
    /// What becomes of a foreign change.
    pub drift: DriftPolicy,
}

impl Default for AuditSettings {
    fn default() -> Self {
        // Rare enough to cost nothing with 5,000 backends, and half of the controller's own resync.
        Self { every: Duration::from_secs(30), drift: DriftPolicy::default() }
    }
}

/// What becomes of a foreign change to what the engine serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftPolicy {
    /// It is told and undone.
    #[default]
    Repair,
    /// It is told; the next change of the cluster undoes it.
    Report,
}

/// Which engine, with its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineSettings {
    /// nginx with its stream module.
    Nginx(NginxSettings),
    /// HAProxy.
    Haproxy(HaproxySettings),
    /// Envoy.
    Envoy(EnvoySettings),
    /// NAT of the kernel.
    Nftables(NftablesSettings),
    /// The user's own.
    Custom(CustomSettings),
}

impl EngineSettings {
    /// Which engine.
    pub const fn kind(&self) -> EngineKind {
        match self {
            Self::Nginx(_) => EngineKind::Nginx,
            Self::Haproxy(_) => EngineKind::Haproxy,
            Self::Envoy(_) => EngineKind::Envoy,
            Self::Nftables(_) => EngineKind::Nftables,
            Self::Custom(_) => EngineKind::Custom,
        }
    }

    /// The file that Tidegate owns.
    pub fn config_file(&self) -> &Path {
        match self {
            Self::Nginx(nginx) => &nginx.config_file,
            Self::Haproxy(haproxy) => &haproxy.config_file,
            Self::Envoy(envoy) => &envoy.config_file,
            Self::Nftables(nftables) => &nftables.config_file,
            Self::Custom(custom) => &custom.output,
        }
    }

    /// Least time between two applies: for engines whose every change leaves something behind.
    pub const fn floor(&self) -> Duration {
        match self {
            Self::Nginx(nginx) => nginx.min_reload_interval,
            Self::Custom(custom) => custom.min_reload_interval,
            Self::Haproxy(_) | Self::Envoy(_) | Self::Nftables(_) => Duration::ZERO,
        }
    }

    /// The same with an absolute path: engines are started in `/`, and known again by the path they were started with.
    pub(crate) fn absolute(mut self) -> Self {
        let file = match &mut self {
            Self::Nginx(nginx) => &mut nginx.config_file,
            Self::Haproxy(haproxy) => &mut haproxy.config_file,
            Self::Envoy(envoy) => &mut envoy.config_file,
            Self::Nftables(nftables) => &mut nftables.config_file,
            Self::Custom(custom) => &mut custom.output,
        };
        if let Ok(absolute) = std::path::absolute(&*file) {
            *file = absolute;
        }
        self
    }
}
