//! What stands behind each listener, as it is reported.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use tidegate_core::desired::{Backend, DesiredState, Listener, Protocol};
use tidegate_core::protocol::LiveBackend;

use super::content::Content;
use super::probing::Findings;
use crate::connections::Connections;

/// Every backend of a content, draining ones included, with its connections as far as they were counted and its probe as
/// far as it is asked.
///
/// Two listeners with one target port share a backend's connections: each shows all of them.
pub fn backends(content: &Content, counted: Option<&Connections>, findings: Option<&Findings>) -> Vec<LiveBackend> {
    let mut reported = Vec::new();
    for listener in &content.desired.listeners {
        let effective = content.effective.pool(&listener.name).iter().filter(|b| b.is_active());
        let served: HashSet<IpAddr> = effective.map(|b| b.address).collect();
        let probing = listener.probing();
        reported.extend(content.desired.pool(&listener.name).iter().map(|backend| {
            let idle = backend.is_active() && !served.contains(&backend.address);
            // Who does not answer is out, wherever it stands.
            let is_aside = idle && !content.overlay.is_out(&listener.name, backend.address);
            let set_aside = backend.zone.clone().filter(|_| is_aside);
            let out = idle && set_aside.is_none();
            LiveBackend {
                listener: listener.name.clone(),
                node: backend.node.clone(),
                address: backend.address,
                draining: !backend.is_active(),
                connections: counted.filter(|_| is_tcp(listener)).map(|c| c.to(far_end(backend))),
                set_aside,
                probe: findings.filter(|_| backend.is_active()).and_then(|f| f.of(&probing, backend, out)),
            }
        }));
    }
    reported
}

/// Where connections to the backends of a state lead. Datagrams have none.
pub fn far_ends(state: &DesiredState) -> HashSet<SocketAddr> {
    let tcp = state.listeners.iter().filter(|listener| is_tcp(listener));
    tcp.flat_map(|listener| state.pool(&listener.name)).map(far_end).collect()
}

fn is_tcp(listener: &Listener) -> bool {
    listener.protocol == Protocol::Tcp
}

fn far_end(backend: &Backend) -> SocketAddr {
    SocketAddr::new(backend.address, backend.port)
}
