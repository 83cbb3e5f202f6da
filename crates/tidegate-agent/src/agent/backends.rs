//! What stands behind each listener, as it is reported.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use tidegate_core::desired::{Backend, DesiredState, Protocol};
use tidegate_core::ids::ListenerName;
use tidegate_core::protocol::LiveBackend;

use crate::connections::Connections;

/// Every backend of a state, draining ones included, with its connections as far as they were counted.
///
/// Two listeners with one target port share a backend's connections: each shows all of them.
pub fn backends(state: &DesiredState, counted: Option<&Connections>) -> Vec<LiveBackend> {
    let report = |(listener, backend, tcp): (&ListenerName, &Backend, bool)| LiveBackend {
        listener: listener.clone(),
        node: backend.node.clone(),
        address: backend.address,
        draining: !backend.is_active(),
        connections: counted.filter(|_| tcp).map(|c| c.to(far_end(backend))),
    };
    each(state).map(report).collect()
}

/// Where connections to the backends of a state lead. Datagrams have none.
pub fn far_ends(state: &DesiredState) -> HashSet<SocketAddr> {
    each(state).filter(|(.., tcp)| *tcp).map(|(_, backend, _)| far_end(backend)).collect()
}

/// Each backend with its listener, and whether that speaks TCP.
fn each(state: &DesiredState) -> impl Iterator<Item = (&ListenerName, &Backend, bool)> {
    let protocols: HashMap<&ListenerName, Protocol> = state.listeners.iter().map(|l| (&l.name, l.protocol)).collect();
    state.pools.iter().flat_map(move |(listener, pool)| {
        let tcp = protocols.get(listener) == Some(&Protocol::Tcp);
        pool.iter().map(move |backend| (listener, backend, tcp))
    })
}

fn far_end(backend: &Backend) -> SocketAddr {
    SocketAddr::new(backend.address, backend.port)
}
