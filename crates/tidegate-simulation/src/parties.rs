//! Who takes part, and how they are called.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use tidegate_core::ids::{LoadBalancerName, NodeName, NodeUid};

/// How many controllers run.
pub(crate) const REPLICAS: u8 = 3;
/// Places in which a node may stand.
pub(crate) const SLOTS: u8 = 7;

/// One controller's place; the processes in it come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReplicaId(pub(crate) u8);

/// One load balancer machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AgentId(pub(crate) u8);

/// One place of the cluster, with its node's name and usual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u8);

impl ReplicaId {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..REPLICAS).map(Self)
    }
}

impl AgentId {
    pub(crate) fn name(self) -> LoadBalancerName {
        LoadBalancerName::parse(self.to_string()).expect("letters, a dash and a digit are a name")
    }
}

impl Slot {
    pub(crate) fn name(self) -> NodeName {
        NodeName::parse(format!("w{}", self.0)).expect("a letter and a digit are a name")
    }

    pub(crate) fn address(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.0 + 1))
    }

    /// The uid of the `n`th node of the cluster.
    pub(crate) fn uid(self, n: u32) -> NodeUid {
        NodeUid::parse(format!("w{}.{n}", self.0)).expect("letters, digits and a dot are a uid")
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tidegate-{}", self.0)
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lb-{}", self.0)
    }
}
