//! Open TCP connections of this machine by their far end, as the kernel counts them (sock_diag(7)).
//!
//! The kernel's word covers every process: a drained backend's last connections belong to workers of an
//! earlier generation, which no answer of the engine's own would mention. It covers no engine that forwards
//! packets without a socket of its own.

mod dump;
mod error;
mod filter;
pub mod message;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;

pub use error::CountError;

use crate::pipeline::blocking;
pub use message::Ends;
use message::Family;

/// How many connections are open to each far end that has any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    by_far_end: HashMap<SocketAddr, u64>,
}

impl Connections {
    /// Counts those to these far ends, from any process of this network namespace. Blocks for as long as the kernel
    /// takes to look at every socket of the machine: about 1 us each on a busy one, and 5 ms for its empty tables.
    pub fn count(to: &HashSet<SocketAddr>) -> Result<Self, CountError> {
        let wanted: HashSet<SocketAddr> = to.iter().copied().map(canonical).collect();
        let ports: BTreeSet<u16> = wanted.iter().map(SocketAddr::port).collect();
        let mut counted = Self::default();
        if ports.is_empty() {
            return Ok(counted);
        }
        each_to(&ports, |ends| counted.see(ends.far, &wanted))?;
        Ok(counted)
    }

    /// The ends of each one to these ports, wherever the far one is. Blocks like [`Self::count`].
    pub fn to_ports(ports: &BTreeSet<u16>) -> Result<Vec<Ends>, CountError> {
        let mut found = Vec::new();
        each_to(ports, |ends| found.push(ends))?;
        found.retain(|ends| ports.contains(&ends.far.port()));
        Ok(found)
    }

    /// Counted otherwise.
    pub fn of(counted: HashMap<SocketAddr, u64>) -> Self {
        Self { by_far_end: counted.into_iter().map(|(far_end, n)| (canonical(far_end), n)).collect() }
    }

    /// The same off the event loop: for every engine that proxies, whose connections to backends are sockets of this machine.
    pub async fn counted(to: HashSet<SocketAddr>) -> Result<Option<Self>, CountError> {
        blocking(move || Self::count(&to)).await.map(Some)
    }

    /// Those to one far end.
    pub fn to(&self, far_end: SocketAddr) -> u64 {
        self.by_far_end.get(&canonical(far_end)).copied().unwrap_or(0)
    }

    fn see(&mut self, far_end: SocketAddr, wanted: &HashSet<SocketAddr>) {
        if wanted.contains(&far_end) {
            *self.by_far_end.entry(far_end).or_default() += 1;
        }
    }
}

/// Each connection to these ports, and maybe to others: the kernel's filter holds only so many.
fn each_to(ports: &BTreeSet<u16>, mut see: impl FnMut(Ends)) -> Result<(), CountError> {
    for family in [Family::V4, Family::V6] {
        let canonical = |Ends { near, far }| Ends { near: canonical(near), far: canonical(far) };
        dump::each_connection(family, ports, |ends| see(canonical(ends)))?;
    }
    Ok(())
}

/// An IPv6 socket that reaches an IPv4 address is listed as `::ffff:a.b.c.d`; scopes and flow labels are no part
/// of where a backend is.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
