//! What templates see: the desired state in a form that every engine's template can use.
//!
//! `listeners` holds each [`ListenerView`] that is to be opened; engines add a name of their own (nginx:
//! `nginx`, an [`NginxView`](crate::engine::nginx::NginxView)) and `generation`, the hash that the engine
//! must answer once this text is live.

mod backend;
pub mod list;
mod number;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use serde::Serialize;
use tidegate_core::desired::{Backend, Balance, DesiredState, Listener, Protocol, ProxyProtocol};

use super::{Template, Vetted};
use backend::hash_factor;
pub use backend::{BackendMemo, BackendView, Backends};
use list::{Lines, List};
use number::numbers;

/// One listener with the backends that take new connections.
///
/// A listener whose pool is empty (`allowEmpty`) is not opened, so it is not in the list.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerView {
    /// Unique; also the name of the pool. Written as it is: `https`.
    pub name: Vetted,
    /// Address and port to listen on: `0.0.0.0:443`, `[::]:443`;
    pub bind: Vetted,
    /// the address alone: `0.0.0.0`, `::`;
    pub bind_address: Vetted,
    /// the port alone.
    pub bind_port: u16,
    /// Whether `bind` is an IPv6 address.
    pub ipv6: bool,
    /// Whether it speaks TCP
    pub tcp: bool,
    /// or UDP.
    pub udp: bool,
    /// How new connections are spread.
    pub balance: BalanceView,
    /// Which PROXY protocol header backends get.
    pub proxy_protocol: ProxyProtocolView,
    /// Networks whose clients may connect; empty: everyone may.
    pub source_ranges: Vec<Vetted>,
    /// The same in their two parts.
    pub source_networks: Vec<NetworkView>,
    /// Backends that take new connections, ordered by address; never empty.
    pub backends: Backends,
    /// Backends that keep the connections they have and take no new ones. An engine whose processes keep serving what
    /// they were started with (nginx) has no use for them.
    pub draining: Backends,
    /// Ends connections without traffic; absent: the engine's template decides. `90000ms`
    pub idle_timeout: Option<Vetted>,
    /// Gives up a backend that does not accept; absent: the engine's template decides.
    pub connect_timeout: Option<Vetted>,
    /// `idle_timeout` as Envoy writes it: `90.000s`;
    pub idle_timeout_seconds: Option<Vetted>,
    /// `connect_timeout` likewise.
    pub connect_timeout_seconds: Option<Vetted>,
    /// Client connections at a time; absent: as many as the engine holds.
    pub max_connections: Option<u32>,
}

/// One of the three is true.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "templates branch on them; a text would have to be compared")]
pub struct BalanceView {
    /// `roundRobin`
    pub round_robin: bool,
    /// `leastConnections`
    pub least_connections: bool,
    /// `source`
    pub source: bool,
}

/// At most one of the two is true.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProxyProtocolView {
    /// The text header.
    pub v1: bool,
    /// The binary header.
    pub v2: bool,
}

/// One network.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkView {
    /// `10.0.0.0`
    pub address: Vetted,
    /// How many of its leading bits count.
    pub prefix: u8,
}

impl From<ipnet::IpNet> for NetworkView {
    fn from(network: ipnet::IpNet) -> Self {
        Self { address: Vetted::from(network.network()), prefix: network.prefix_len() }
    }
}

impl ListenerView {
    /// The listeners of a state that are to be opened.
    pub fn of(state: &DesiredState, memo: Option<&BackendMemo>) -> Vec<Self> {
        Self::with_those(state, memo, |_, _| true)
    }

    /// The same with only those backends that are `meant`; their numbers are the same.
    pub fn with_those(
        state: &DesiredState,
        memo: Option<&BackendMemo>,
        meant: impl Fn(&Listener, &Backend) -> bool,
    ) -> Vec<Self> {
        let view = |listener| Self::new(listener, state, memo, |backend| meant(listener, backend));
        state.listeners.iter().map(view).filter(|l| !l.backends.is_empty()).collect()
    }

    /// How many backends it has, draining ones included.
    #[allow(clippy::len_without_is_empty, reason = "a view is never empty")]
    pub fn len(&self) -> usize {
        self.backends.len() + self.draining.len()
    }

    fn new(
        listener: &Listener,
        state: &DesiredState,
        memo: Option<&BackendMemo>,
        meant: impl Fn(&Backend) -> bool,
    ) -> Self {
        let pool = state.pool(&listener.name);
        let numbered = pool.iter().zip(numbers(pool)).filter(|(backend, _)| meant(backend));
        let factor = hash_factor(pool);
        let views = numbered.map(|(backend, number)| {
            let hash_weight = u16::from(backend.weight.get()) * factor;
            BackendView { backend: backend.clone(), number, hash_weight }
        });
        let (active, draining): (Vec<_>, Vec<_>) = views.partition(|view| view.backend.is_active());
        let view = Self::without_backends(listener);
        let about = memo.map(|memo| (memo, Template::context(&view)));
        let lines = |draining| {
            let of = |(memo, about): &(&BackendMemo, _)| Lines::of_listener(memo, listener, about, draining);
            about.as_ref().map(of)
        };
        Self { backends: List::of(active, lines(false)), draining: List::of(draining, lines(true)), ..view }
    }

    /// All that the lines about its backends may depend on.
    pub fn without_backends(listener: &Listener) -> Self {
        let limits = listener.limits;
        Self {
            name: Vetted::from(&listener.name),
            bind: Vetted::from(listener.bind),
            bind_address: Vetted::from(listener.bind.ip()),
            bind_port: listener.bind.port(),
            ipv6: listener.bind.is_ipv6(),
            tcp: listener.protocol == Protocol::Tcp,
            udp: listener.protocol == Protocol::Udp,
            balance: BalanceView {
                round_robin: listener.balance == Balance::RoundRobin,
                least_connections: listener.balance == Balance::LeastConnections,
                source: listener.balance == Balance::Source,
            },
            proxy_protocol: ProxyProtocolView {
                v1: listener.proxy_protocol == ProxyProtocol::V1,
                v2: listener.proxy_protocol == ProxyProtocol::V2,
            },
            source_ranges: listener.source_ranges.iter().map(|n| Vetted::from(*n)).collect(),
            source_networks: listener.source_ranges.iter().map(|n| NetworkView::from(*n)).collect(),
            backends: List::of(Vec::new(), None),
            draining: List::of(Vec::new(), None),
            idle_timeout: limits.idle_timeout.map(Vetted::from),
            connect_timeout: limits.connect_timeout.map(Vetted::from),
            idle_timeout_seconds: limits.idle_timeout.map(Vetted::seconds),
            connect_timeout_seconds: limits.connect_timeout.map(Vetted::seconds),
            max_connections: limits.max_connections.map(NonZeroU32::get),
        }
    }
}
