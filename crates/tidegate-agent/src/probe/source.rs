//! From which of this machine's addresses is asked.

use std::net::{IpAddr, SocketAddr};

/// At most one address of each family; without one the kernel chooses, as it does for the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    addresses: Vec<IpAddr>,
}

impl Sources {
    /// These addresses.
    pub const fn new(addresses: Vec<IpAddr>) -> Self {
        Self { addresses }
    }

    /// Where to ask `target` from, any port.
    pub fn towards(&self, target: SocketAddr) -> Option<SocketAddr> {
        let source = self.addresses.iter().find(|a| a.is_ipv4() == target.is_ipv4())?;
        Some(SocketAddr::new(*source, 0))
    }
}
