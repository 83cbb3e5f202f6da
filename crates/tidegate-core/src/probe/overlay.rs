//! Backends that get no new connection on this machine, whatever the desired state says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::desired::{Backend, BackendState, DesiredState, Protocol};
use crate::ids::ListenerName;

/// The addresses that are out, by listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overlay {
    out: BTreeMap<ListenerName, BTreeSet<IpAddr>>,
}

impl Overlay {
    /// Whether nothing is out.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes an address of a listener out.
    pub fn take_out(&mut self, listener: ListenerName, address: IpAddr) {
        self.out.entry(listener).or_default().insert(address);
    }

    /// Whether an address of a listener is out.
    pub fn is_out(&self, listener: &ListenerName, address: IpAddr) -> bool {
        self.out.get(listener).is_some_and(|out| out.contains(&address))
    }

    /// What is to be served instead of a desired state; nothing when that is the state itself. Whose name and position it
    /// has are still those of the desired state: it is what has become of that one here.
    ///
    /// A backend that is out keeps the connections that it has, if any: whoever is wrongly taken for dead loses none. A
    /// backend of datagrams is removed, because its clients would go on with it for ever. A listener that would have
    /// nobody left stays as it is (guard G1, whatever the overlay says).
    pub fn over(&self, desired: &DesiredState) -> Option<DesiredState> {
        let mut effective = None;
        for listener in &desired.listeners {
            let Some(out) = self.out.get(&listener.name) else { continue };
            let pool = desired.pool(&listener.name);
            let stays = |b: &&Backend| b.is_active() && !out.contains(&b.address);
            let goes = |b: &Backend| b.is_active() && out.contains(&b.address);
            if !pool.iter().any(goes) || !pool.iter().any(|b| stays(&b)) {
                continue;
            }
            let state: &mut DesiredState = effective.get_or_insert_with(|| desired.clone());
            let Some(pool) = state.pools.get_mut(&listener.name) else { continue };
            if listener.protocol == Protocol::Udp {
                pool.retain(|b| !goes(b));
            }
            for backend in pool.iter_mut().filter(|b| goes(b)) {
                backend.state = BackendState::Draining { deadline: Timestamp::MAX };
            }
        }
        effective
    }
}
