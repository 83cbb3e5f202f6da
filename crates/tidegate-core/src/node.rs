//! A Node as Tidegate sees it: the fields that decisions use, and nothing that changes with a heartbeat.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{NodeName, NodeUid};

/// Annotations of a Node that are for Tidegate.
pub const ANNOTATION_PREFIX: &str = "tidegate.io/";

/// `tidegate.io/exclude`: keeps a node out of our load balancers and of no others'; read as the label of KEP-1143 is.
pub const EXCLUDE_ANNOTATION: &str = "tidegate.io/exclude";
/// `tidegate.io/address`: where a node is reached instead of what its status says; one address of each family, with commas.
pub const ADDRESS_ANNOTATION: &str = "tidegate.io/address";

/// Which of a node's addresses to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AddressType {
    /// `InternalIP`
    #[default]
    #[serde(rename = "InternalIP")]
    InternalIp,
    /// `ExternalIP`
    #[serde(rename = "ExternalIP")]
    ExternalIp,
}

/// One usable address of a node's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeAddress {
    /// Its type.
    pub kind: AddressType,
    /// The address.
    pub address: IpAddr,
}

/// `status` of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// `True`
    True,
    /// `False`
    False,
    /// `Unknown`, or anything else.
    Unknown,
}

impl ConditionStatus {
    /// The word that Kubernetes uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition of a node, without its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `status`
    pub status: ConditionStatus,
    /// `reason`
    pub reason: String,
    /// `message`
    pub message: String,
    /// When the status became what it is: `lastTransitionTime`, but never later than when we first
    /// saw it, because the clock that wrote it may be wrong.
    pub since: Timestamp,
}

/// What was observed of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `metadata.name`
    pub name: NodeName,
    /// `metadata.uid`
    pub uid: NodeUid,
    /// `metadata.creationTimestamp`
    pub created: Option<Timestamp>,
    /// `metadata.deletionTimestamp`, but never later than when we first saw it: deadlines count from it.
    pub deleting: Option<Timestamp>,
    /// Those that the policy looks at.
    pub labels: BTreeMap<String, String>,
    /// Those of ours: keys that begin with [`ANNOTATION_PREFIX`].
    pub annotations: BTreeMap<String, String>,
    /// Whether it carries our finalizer.
    pub finalizer: bool,
    /// Keys of `spec.taints`.
    pub taints: BTreeSet<String>,
    /// `spec.unschedulable`
    pub unschedulable: bool,
    /// Addresses that parse as IP addresses, in the order of the status.
    pub addresses: Vec<NodeAddress>,
    /// The `Hostname` address, if there is one.
    pub hostname: Option<String>,
    /// Condition `Ready`
    pub ready: Option<Condition>,
    /// Condition `NetworkUnavailable`
    pub network_unavailable: Option<Condition>,
}

impl Node {
    /// Whether condition Ready is True.
    pub fn is_ready(&self) -> bool {
        self.ready.as_ref().is_some_and(|c| c.status == ConditionStatus::True)
    }

    /// Takes over from an earlier observation of the same node how long its conditions have been
    /// what they are, and how long it has been going: whichever says longer ago is right, as a clock
    /// ahead of ours cannot be.
    pub fn keep_earlier_since(&mut self, earlier: &Self) {
        if self.uid != earlier.uid {
            return;
        }
        // A deletion is never taken back.
        self.deleting = self.deleting.into_iter().chain(earlier.deleting).min();
        for (new, old) in
            [(&mut self.ready, &earlier.ready), (&mut self.network_unavailable, &earlier.network_unavailable)]
        {
            if let (Some(new), Some(old)) = (new, old)
                && new.status == old.status
            {
                new.since = new.since.min(old.since);
            }
        }
    }
}
