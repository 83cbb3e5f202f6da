//! A Node as Tidegate sees it: the fields that decisions use, and nothing that changes with a heartbeat.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{NodeName, NodeUid};
use crate::selector::is_label_value;

/// Annotations of a Node that are for Tidegate.
pub const ANNOTATION_PREFIX: &str = "tidegate.io/";

/// `tidegate.io/exclude`: keeps a node out of our load balancers and of no others'; read as the label of KEP-1143 is.
pub const EXCLUDE_ANNOTATION: &str = "tidegate.io/exclude";
/// `tidegate.io/address`: where a node is reached instead of what its status says; one address of each family, with commas.
pub const ADDRESS_ANNOTATION: &str = "tidegate.io/address";
/// `tidegate.io/weight`: a node's share of new connections beside that of the others, for nodes of different size.
pub const WEIGHT_ANNOTATION: &str = "tidegate.io/weight";
/// Where a node stands (well-known label of Kubernetes).
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// A share of new connections, from 1 to [`Weight::MOST`]: twice the number, twice the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Weight(u8);

impl Weight {
    /// What every engine can express, and more than two generations of machines differ by.
    pub const MOST: u8 = 100;
    /// Like most others.
    pub const ONE: Self = Self(1);

    /// The weight, unless it is 0 or too large.
    pub const fn new(number: u8) -> Option<Self> {
        if number == 0 || number > Self::MOST { None } else { Some(Self(number)) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether it says nothing.
    pub const fn is_one(&self) -> bool {
        self.0 == 1
    }

    /// A whole number, written in digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.chars().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|_| digits).and_then(Self::new)
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

impl TryFrom<u8> for Weight {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("a weight is a whole number from 1 to 100")
    }
}

impl From<Weight> for u8 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

/// The value of a node's zone label: safe everywhere, because a label value holds letters, digits, `-`, `_` and `.` only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(String);

impl Zone {
    /// The zone, unless the text is no label value (or empty).
    pub fn parse(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        if text.is_empty() || !is_label_value(&text) {
            return Err(format!("{text:?} is no zone: a label value has 1 to 63 letters, digits, '-', '_' and '.'"));
        }
        Ok(Self(text))
    }
}

impl TryFrom<String> for Zone {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

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
    /// Its share of new connections; the error is the annotation's value, which is no weight.
    pub fn weight(&self) -> Result<Weight, &str> {
        let Some(text) = self.annotations.get(WEIGHT_ANNOTATION) else { return Ok(Weight::ONE) };
        Weight::parse(text).ok_or(text)
    }

    /// Where it stands, if its label says so.
    pub fn zone(&self) -> Option<Zone> {
        self.labels.get(ZONE_LABEL).and_then(|value| Zone::parse(value.clone()).ok())
    }

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
