//! Which load balancer programs there are, and what each can do for a listener.
//!
//! The facts are measured (docs/engines.md); what an engine cannot do is refused before anything is rendered, with the
//! engines that can.

mod feature;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use feature::{Feature, features_of};

use crate::desired::Listener;
use crate::ids::ListenerName;

/// A load balancer program that Tidegate drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// nginx with its stream module.
    Nginx,
    /// HAProxy 2.6 or later.
    Haproxy,
    /// Envoy.
    Envoy,
    /// NAT of the Linux kernel.
    Nftables,
    /// The user's own template and commands.
    Custom,
}

impl EngineKind {
    /// Every engine, in the order in which they are named to people.
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Haproxy, Self::Envoy, Self::Nftables, Self::Custom];

    /// As it is written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Nftables => "nftables",
            Self::Custom => "custom",
        }
    }

    /// Why this engine cannot do it; nothing when it can.
    pub const fn lacks(self, feature: Feature) -> Option<&'static str> {
        use Feature as F;
        match (self, feature) {
            (_, F::ProxyOverUdp) => Some("datagrams carry no PROXY header"),
            // Sending v2 came with nginx 1.31.4 (August 2026): github.com/nginx/nginx/pull/1204.
            (Self::Nginx, F::ProxyV2) => Some("its stream module sends version 1 of the PROXY protocol only"),
            (Self::Haproxy, F::Udp) => Some("it proxies TCP only"),
            (Self::Nftables, F::ProxyV1 | F::ProxyV2) => Some("the kernel forwards packets and adds no header to them"),
            (Self::Nftables, F::LeastConnections) => Some("the kernel's NAT does not compare numbers of connections"),
            (Self::Nftables, F::ConnectTimeout) => Some("the client itself connects through the kernel's NAT"),
            (Self::Nftables, F::IdleTimeout) => Some("the kernel's timeouts are those of the machine (sysctl)"),
            (Self::Envoy, F::UdpSourceRanges) => Some("its filters of source addresses are for TCP"),
            (Self::Envoy | Self::Haproxy | Self::Nginx, F::UdpMaxConnections) => Some("it counts TCP connections only"),
            _ => None,
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that a listener asks for and an engine cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Who asks.
    pub listener: ListenerName,
    /// What for.
    pub feature: Feature,
    /// Who cannot.
    pub engine: EngineKind,
    /// Why not.
    pub why: &'static str,
}

impl Unsupported {
    /// What to do instead.
    pub fn cure(&self) -> String {
        let able: Vec<&str> =
            EngineKind::ALL.iter().filter(|e| e.lacks(self.feature).is_none()).map(|e| e.as_str()).collect();
        match able.as_slice() {
            [] => format!("{}: no engine can", self.feature.without()),
            able => format!("{}, or use another engine: {} can", self.feature.without(), able.join(", ")),
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot do {}: {}", self.engine, self.feature.as_str(), self.why)
    }
}

/// All that a listener asks for and this engine cannot do.
pub fn unsupported(engine: EngineKind, listener: &Listener) -> Vec<Unsupported> {
    let refused = |feature: Feature| {
        let why = engine.lacks(feature)?;
        Some(Unsupported { listener: listener.name.clone(), feature, engine, why })
    };
    features_of(listener).into_iter().filter_map(refused).collect()
}
