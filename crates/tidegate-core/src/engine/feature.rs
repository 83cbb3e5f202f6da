//! What a listener can ask of an engine.

use crate::desired::{Balance, Listener, Protocol, ProxyProtocol};

/// Something that not every engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// `protocol: udp`
    Udp,
    /// `balance: leastConnections`
    LeastConnections,
    /// `balance: source`
    Source,
    /// `proxyProtocol: v1`
    ProxyV1,
    /// `proxyProtocol: v2`
    ProxyV2,
    /// `proxyProtocol` with `protocol: udp`
    ProxyOverUdp,
    /// `sourceRanges`
    SourceRanges,
    /// `sourceRanges` with `protocol: udp`
    UdpSourceRanges,
    /// `idleTimeout`
    IdleTimeout,
    /// `connectTimeout`
    ConnectTimeout,
    /// `maxConnections`
    MaxConnections,
    /// `maxConnections` with `protocol: udp`
    UdpMaxConnections,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 12] = [
        Self::Udp,
        Self::LeastConnections,
        Self::Source,
        Self::ProxyV1,
        Self::ProxyV2,
        Self::ProxyOverUdp,
        Self::SourceRanges,
        Self::UdpSourceRanges,
        Self::IdleTimeout,
        Self::ConnectTimeout,
        Self::MaxConnections,
        Self::UdpMaxConnections,
    ];

    /// As it is written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "protocol udp",
            Self::LeastConnections => "balance leastConnections",
            Self::Source => "balance source",
            Self::ProxyV1 => "proxyProtocol v1",
            Self::ProxyV2 => "proxyProtocol v2",
            Self::ProxyOverUdp => "proxyProtocol with protocol udp",
            Self::SourceRanges => "sourceRanges",
            Self::UdpSourceRanges => "sourceRanges with protocol udp",
            Self::IdleTimeout => "idleTimeout",
            Self::ConnectTimeout => "connectTimeout",
            Self::MaxConnections => "maxConnections",
            Self::UdpMaxConnections => "maxConnections with protocol udp",
        }
    }

    /// The key of the listener that asks for it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Udp => "protocol",
            Self::LeastConnections | Self::Source => "balance",
            Self::ProxyV1 | Self::ProxyV2 | Self::ProxyOverUdp => "proxyProtocol",
            Self::SourceRanges | Self::UdpSourceRanges => "sourceRanges",
            Self::IdleTimeout => "idleTimeout",
            Self::ConnectTimeout => "connectTimeout",
            Self::MaxConnections | Self::UdpMaxConnections => "maxConnections",
        }
    }

    /// How to do without it.
    pub const fn without(self) -> &'static str {
        match self {
            Self::Udp => "write protocol: tcp",
            Self::LeastConnections | Self::Source => "write balance: roundRobin",
            Self::ProxyV1 | Self::ProxyOverUdp => "remove proxyProtocol",
            // ingress-nginx, HAProxy, Traefik and Envoy read both versions.
            Self::ProxyV2 => "write proxyProtocol: v1 (ingress controllers read both)",
            Self::SourceRanges | Self::UdpSourceRanges => "remove sourceRanges",
            Self::IdleTimeout => "remove idleTimeout",
            Self::ConnectTimeout => "remove connectTimeout",
            Self::MaxConnections | Self::UdpMaxConnections => "remove maxConnections",
        }
    }
}

/// What a listener asks for.
pub fn features_of(listener: &Listener) -> Vec<Feature> {
    let udp = listener.protocol == Protocol::Udp;
    let proxy = listener.proxy_protocol;
    let limits = &listener.limits;
    let asked = [
        (udp, Feature::Udp),
        (listener.balance == Balance::LeastConnections, Feature::LeastConnections),
        (listener.balance == Balance::Source, Feature::Source),
        (proxy == ProxyProtocol::V1 && !udp, Feature::ProxyV1),
        (proxy == ProxyProtocol::V2 && !udp, Feature::ProxyV2),
        (proxy != ProxyProtocol::None && udp, Feature::ProxyOverUdp),
        (!listener.source_ranges.is_empty() && !udp, Feature::SourceRanges),
        (!listener.source_ranges.is_empty() && udp, Feature::UdpSourceRanges),
        (limits.idle_timeout.is_some(), Feature::IdleTimeout),
        (limits.connect_timeout.is_some(), Feature::ConnectTimeout),
        (limits.max_connections.is_some() && !udp, Feature::MaxConnections),
        (limits.max_connections.is_some() && udp, Feature::UdpMaxConnections),
    ];
    asked.into_iter().filter_map(|(asks, feature)| asks.then_some(feature)).collect()
}
