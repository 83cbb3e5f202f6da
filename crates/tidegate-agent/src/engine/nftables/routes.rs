//! From a listener to a backend: what connections are told apart by.

use std::net::SocketAddr;

/// One way that connections take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Datagrams, or a stream.
    pub udp: bool,
    /// Where the client went: a listener's address, or the one that was meant when it listens on all.
    pub bind: SocketAddr,
    /// Where it is led.
    pub backend: SocketAddr,
}

/// Whether a listener takes what goes to this address.
pub fn matches(bind: SocketAddr, to: SocketAddr) -> bool {
    bind.port() == to.port() && bind.is_ipv6() == to.is_ipv6() && (bind.ip().is_unspecified() || bind.ip() == to.ip())
}
