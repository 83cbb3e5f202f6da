//! The switches of the rule table, as the configuration sets them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::carriage::Demand;
use crate::node::{AddressType, ZONE_LABEL};
use crate::selector::Selector;

/// Which IP family a pool uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl IpFamily {
    /// Whether an address is of this family.
    pub const fn contains(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::Ipv4, IpAddr::V4(_)) | (Self::Ipv6, IpAddr::V6(_)))
    }
}

/// What becomes of a member that is not ready (rule `not-ready`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotReady {
    /// No new connections at once; removed after the drain timeout; cancelled if Ready returns.
    #[default]
    Drain,
    /// Served for as long as it answers a load balancer's probes (KEP-3458: what Kubernetes says of a node says little about
    /// what it serves); else as with `drain`.
    Probe,
    /// Removed at once.
    Remove,
}

/// Everything about nodes that an operator can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePolicy {
    /// Nodes that may be members; absent: every node without a control-plane role label.
    pub selector: Option<Selector>,
    /// Which of a node's addresses to use.
    pub address_type: AddressType,
    /// One address of each, in this order.
    pub ip_families: Vec<IpFamily>,
    /// For rule `not-ready`.
    pub not_ready: NotReady,
    /// How long a node must be Ready before it is added.
    pub join_delay: Duration,
    /// How long a draining member keeps its connections.
    pub drain_timeout: Duration,
    /// Whether a cordon drains (rule `cordoned`).
    pub drain_on_cordon: bool,
    /// Whether rule `excluded` is off, for single-node clusters whose only node carries the label.
    pub ignore_exclude_label: bool,
    /// More taint keys that drain like the autoscaler's (rule `autoscaler`).
    pub drain_taints: BTreeSet<String>,
    /// What single listeners ask of the nodes that carry them.
    pub demands: Vec<Demand>,
}

impl Default for NodePolicy {
    fn default() -> Self {
        Self {
            selector: None,
            address_type: AddressType::InternalIp,
            ip_families: vec![IpFamily::Ipv4],
            not_ready: NotReady::Drain,
            // Long enough for a kubelet that flaps at start, short beside the start of a machine.
            join_delay: Duration::from_secs(10),
            // What most ingress controllers give their own connections to end.
            drain_timeout: Duration::from_secs(30),
            drain_on_cordon: false,
            ignore_exclude_label: false,
            drain_taints: BTreeSet::new(),
            demands: Vec::new(),
        }
    }
}

/// Labels that keep a node out when no selector is given (kubeadm's and its predecessor's).
pub const CONTROL_PLANE_LABELS: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
/// KEP-1143.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

impl NodePolicy {
    /// The label keys that decisions look at: everything else may be forgotten on arrival.
    pub fn label_keys(&self) -> BTreeSet<&str> {
        let selectors = self.selector.iter().chain(self.demands.iter().filter_map(|demand| demand.nodes.as_ref()));
        let selected = selectors.flat_map(Selector::keys);
        CONTROL_PLANE_LABELS.into_iter().chain([EXCLUDE_LABEL, ZONE_LABEL]).chain(selected).collect()
    }
}
