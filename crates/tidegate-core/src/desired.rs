//! What every load balancer of a cluster should serve: listeners and their pools.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::carriage::state_behind;
use crate::guard::{Guard, Overrides};
use crate::hash::ContentHash;
use crate::ids::{ClusterName, ListenerName, NodeName};
use crate::membership::{Member, MemberState, Membership};
use crate::millis;
use crate::node::{Weight, Zone};
use crate::position::Position;
use crate::probe::Probe;
use crate::zones::Zones;

/// Layer 4 protocol of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A stream.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

/// How a listener spreads new connections over its pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The backend with the fewest open connections.
    LeastConnections,
    /// Consistent hash of the client's address: one client stays on one node.
    Source,
}

/// Whether backends are told the client's address by the PROXY protocol (haproxy.org, proxy-protocol.txt).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// Not at all.
    #[default]
    None,
    /// The text header.
    V1,
    /// The binary header.
    V2,
}

/// One listener, as the configuration asks for it and as agents receive it.
///
/// An agent of an earlier version refuses a state with a field that it does not know (`malformed`, naming the field) and goes
/// on serving what it has; so fields that came later are absent while they say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Unique in the cluster; names the pool as well.
    pub name: ListenerName,
    /// Where the load balancer listens.
    pub bind: SocketAddr,
    /// Of the listener and of its backends.
    pub protocol: Protocol,
    /// The port on every active node.
    pub target_port: u16,
    /// How new connections are spread.
    pub balance: Balance,
    /// How backends learn the client's address.
    pub proxy_protocol: ProxyProtocol,
    /// Clients outside these networks are refused; empty: everyone may connect.
    pub source_ranges: Vec<IpNet>,
    /// Whether an empty pool may go live (invariant 5).
    pub allow_empty: bool,
    /// How long and how many; absent on the wire when nothing is set, which agents of earlier versions understand.
    #[serde(default, skip_serializing_if = "Limits::is_unset")]
    pub limits: Limits,
    /// How its backends are asked whether they answer; absent: [`Probe::of_protocol`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// What the zones of its backends mean; absent on the wire when nothing (`any`), which is all that agents without
    /// this field understand.
    #[serde(default, skip_serializing_if = "Zones::is_any")]
    pub zones: Zones,
}

impl Listener {
    /// A TCP listener with the defaults of the configuration.
    pub fn tcp(name: ListenerName, bind: SocketAddr, target_port: u16) -> Self {
        Self {
            name,
            bind,
            protocol: Protocol::Tcp,
            target_port,
            balance: Balance::default(),
            proxy_protocol: ProxyProtocol::default(),
            source_ranges: Vec::new(),
            allow_empty: false,
            limits: Limits::default(),
            probe: None,
            zones: Zones::default(),
        }
    }
}

/// Bounds of a listener's connections; what is absent is left to the engine's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// A connection (or UDP session) without traffic for this long is ended; in milliseconds on the wire.
    #[serde(default, rename = "idleTimeoutMillis", with = "millis::optional", skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// A backend that does not accept within this long is given up; in milliseconds on the wire.
    #[serde(
        default,
        rename = "connectTimeoutMillis",
        with = "millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub connect_timeout: Option<Duration>,
    /// Client connections of this listener at a time, on each load balancer machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<NonZeroU32>,
}

impl Limits {
    /// Whether there are none.
    pub fn is_unset(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a backend takes new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum BackendState {
    /// Takes new connections.
    Active,
    /// Takes no new connection; those it has live until the deadline.
    Draining {
        /// When what is left may be cut.
        deadline: Timestamp,
    },
}

/// One node address behind a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "FlatBackend")]
pub struct Backend {
    /// The node it stands for.
    pub node: NodeName,
    /// Where it is reached.
    pub address: IpAddr,
    /// The listener's target port.
    pub port: u16,
    /// Whether it takes new connections.
    #[serde(flatten)]
    pub state: BackendState,
    /// Its share of new connections; absent on the wire when it is like the others'.
    #[serde(default, skip_serializing_if = "Weight::is_one")]
    pub weight: Weight,
    /// Where the node stands, if its label says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
}

/// A backend as it is written. Read field by field: a flattened enum would be put together twice, for each of thousands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlatBackend {
    node: NodeName,
    address: IpAddr,
    port: u16,
    state: FlatState,
    #[serde(default)]
    deadline: Option<Timestamp>,
    #[serde(default)]
    weight: Weight,
    #[serde(default)]
    zone: Option<Zone>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum FlatState {
    Active,
    Draining,
}

impl TryFrom<FlatBackend> for Backend {
    type Error = &'static str;

    fn try_from(flat: FlatBackend) -> Result<Self, Self::Error> {
        let FlatBackend { node, address, port, state, deadline, weight, zone } = flat;
        let state = match (state, deadline) {
            (FlatState::Active, _) => BackendState::Active,
            (FlatState::Draining, Some(deadline)) => BackendState::Draining { deadline },
            (FlatState::Draining, None) => return Err("a draining backend without a deadline"),
        };
        Ok(Self { node, address, port, state, weight, zone })
    }
}

impl Backend {
    /// One that takes new connections, like the others.
    pub const fn active(node: NodeName, address: IpAddr, port: u16) -> Self {
        Self { node, address, port, state: BackendState::Active, weight: Weight::ONE, zone: None }
    }

    /// Whether it takes new connections.
    pub fn is_active(&self) -> bool {
        self.state == BackendState::Active
    }
}

/// Backends of one listener, ordered by address; an address appears once.
pub type Pool = Vec<Backend>;

/// The whole of what an agent should serve. Sent in full, every time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredState {
    /// Whose state it is: an agent serves one cluster.
    pub cluster: ClusterName,
    /// When in the history of the cluster it was decided.
    #[serde(flatten)]
    pub position: Position,
    /// Hash of the content, that is of everything below.
    pub hash: ContentHash,
    /// What the load balancer serves.
    pub listeners: Vec<Listener>,
    /// One pool for each listener.
    pub pools: BTreeMap<ListenerName, Pool>,
    /// Guards that an operator has overridden, until when: no part of the content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<Guard, Timestamp>,
}

#[derive(Serialize)]
struct Content<'a> {
    listeners: &'a [Listener],
    pools: &'a BTreeMap<ListenerName, Pool>,
}

impl DesiredState {
    /// Derives the state from who is a member and what is to be served. A listener of which it is recorded that no active
    /// member carries it may be empty: agents refuse a pool that is empty for a reason that nobody has decided.
    pub fn derive(cluster: ClusterName, position: Position, membership: &Membership, listeners: &[Listener]) -> Self {
        let vacant = |listener: &Listener| membership.is_vacant(&listener.name);
        let pools = listeners.iter().map(|l| (l.name.clone(), pool_of(l, membership))).collect();
        let mut state = Self {
            cluster,
            position,
            hash: ContentHash::of_bytes(b""),
            listeners: listeners
                .iter()
                .map(|l| Listener { allow_empty: l.allow_empty || vacant(l), ..l.clone() })
                .collect(),
            pools,
            overrides: BTreeMap::new(),
        };
        state.hash = state.content_hash();
        state
    }

    /// The same with what operators let through: agents have guards of their own.
    #[must_use]
    pub fn with_overrides(self, overrides: &Overrides) -> Self {
        let overrides = overrides.iter().map(|(guard, known)| (guard, known.until)).collect();
        Self { overrides, ..self }
    }

    /// The hash that [`Self::hash`] must be.
    pub fn content_hash(&self) -> ContentHash {
        ContentHash::of_json(&Content { listeners: &self.listeners, pools: &self.pools })
    }

    /// The pool of a listener; empty when it has none.
    pub fn pool(&self, listener: &ListenerName) -> &[Backend] {
        self.pools.get(listener).map_or(&[], Vec::as_slice)
    }

    /// Listeners whose pool has no active backend though it must have one (guard G1, invariant 5).
    pub fn starved(&self) -> Vec<&ListenerName> {
        let starved = |l: &&Listener| !l.allow_empty && !self.pool(&l.name).iter().any(Backend::is_active);
        self.listeners.iter().filter(starved).map(|l| &l.name).collect()
    }
}

fn pool_of(listener: &Listener, membership: &Membership) -> Pool {
    let pool = pool_with(listener, membership, |member| member.state);
    if pool.iter().any(Backend::is_active) {
        return pool;
    }
    // The last that carries it is leaving as a node: until it has left, it is better than nobody.
    let carries = |member: &Member| !member.apart.contains_key(&listener.name);
    pool_with(listener, membership, |member| if carries(member) { MemberState::Active } else { member.state })
}

fn pool_with(listener: &Listener, membership: &Membership, state: impl Fn(&Member) -> MemberState) -> Pool {
    let mut by_address: BTreeMap<IpAddr, Backend> = BTreeMap::new();
    for backend in membership.members().values().flat_map(|member| backends_of(listener, member, state(member))) {
        let address = backend.address;
        match by_address.get(&address) {
            // A node that was replaced may have left its address to an active successor.
            Some(other) if other.is_active() || !backend.is_active() => {}
            _ => drop(by_address.insert(address, backend)),
        }
    }
    by_address.into_values().collect()
}

fn backends_of(listener: &Listener, member: &Member, state: MemberState) -> impl Iterator<Item = Backend> {
    let backend = |address, state| Backend {
        node: member.node.clone(),
        address,
        port: listener.target_port,
        state,
        weight: member.weight,
        zone: member.zone.clone(),
    };
    let standing = |state| match state {
        MemberState::Active => BackendState::Active,
        MemberState::Draining { deadline } => BackendState::Draining { deadline },
    };
    let behind = state_behind(state, member.apart.get(&listener.name)).map(standing);
    let current = behind.into_iter().flat_map(move |state| member.addresses.iter().map(move |a| backend(*a, state)));
    let draining = |deadline| BackendState::Draining { deadline };
    let retiring = member.retiring.iter().map(move |r| backend(r.address, draining(r.deadline)));
    current.chain(retiring)
}
