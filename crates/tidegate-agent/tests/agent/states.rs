//! Desired states for tests.

use std::net::{IpAddr, SocketAddr};

use tidegate_core::desired::{Backend, BackendState, DesiredState, Listener};
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{ClusterName, ListenerName, NodeName};
use tidegate_core::node::{Weight, Zone};
use tidegate_core::position::{Position, Revision, Term};

pub fn position(term: u64, revision: u64) -> Position {
    Position { term: Term(term), revision: Revision(revision) }
}

pub fn listener(name: &str, bind: SocketAddr) -> Listener {
    Listener::tcp(ListenerName::parse(name).unwrap(), bind, 80)
}

pub fn backend(node: &str, address: IpAddr, port: u16) -> Backend {
    Backend::active(NodeName::parse(node).unwrap(), address, port)
}

pub fn at(socket: SocketAddr) -> Backend {
    backend(&format!("n{}", socket.port()), socket.ip(), socket.port())
}

pub fn weighing(weight: u8, backend: Backend) -> Backend {
    Backend { weight: Weight::new(weight).unwrap(), ..backend }
}

pub fn within(zone: &str, backend: Backend) -> Backend {
    Backend { zone: Some(Zone::parse(zone).unwrap()), ..backend }
}

pub fn draining(backend: Backend) -> Backend {
    let deadline = "2026-11-24T12:00:00Z".parse().unwrap();
    Backend { state: BackendState::Draining { deadline }, ..backend }
}

pub fn state(revision: u64, content: Vec<(Listener, Vec<Backend>)>) -> DesiredState {
    let pools = content.iter().map(|(l, pool)| (l.name.clone(), pool.clone())).collect();
    let listeners = content.into_iter().map(|(l, _)| l).collect();
    let cluster = ClusterName::parse("prod").unwrap();
    let hash = ContentHash::of_bytes(b"");
    let overrides = std::collections::BTreeMap::new();
    let mut state = DesiredState { cluster, position: position(1, revision), hash, listeners, pools, overrides };
    state.hash = state.content_hash();
    state
}
