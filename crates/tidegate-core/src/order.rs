//! What operators ask for, node by node: recorded in the log, so that every later leader keeps it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{NodeName, NodeUid};

/// A node that an operator wants out (`tidegate drain`). It ends with `undrain`, or with the node itself: a machine that
/// comes back as a new Node starts afresh, as with a cordon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The node's name.
    pub node: NodeName,
    /// Who asked.
    pub by: String,
    /// What for.
    pub why: String,
    /// When.
    pub since: Timestamp,
}

/// What becomes of a node's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderKind {
    /// Take the node out and keep it out.
    Drain,
    /// Let the rules decide again.
    Undrain,
    /// The node is no more, and with it the order.
    Forget,
}

impl OrderKind {
    /// The word used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Forget => "forget",
        }
    }
}

/// One order, as the log records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderChange {
    /// Which node, for ever.
    pub uid: NodeUid,
    /// Its name.
    pub node: NodeName,
    /// What is asked.
    pub kind: OrderKind,
    /// Who asked.
    pub by: String,
    /// What for.
    pub why: String,
}

impl fmt::Display for OrderChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} by {}", self.kind.as_str(), self.node, self.by)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// Every node that an operator wants out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Orders {
    by_uid: BTreeMap<NodeUid, Order>,
}

impl Orders {
    /// The order about this node.
    pub fn get(&self, uid: &NodeUid) -> Option<&Order> {
        self.by_uid.get(uid)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeUid, &Order)> {
        self.by_uid.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }

    /// Applies what one log entry of `at` says.
    pub fn apply(&mut self, change: &OrderChange, at: Timestamp) {
        let OrderChange { uid, node, kind, by, why } = change;
        match kind {
            OrderKind::Drain => {
                let order = Order { node: node.clone(), by: by.clone(), why: why.clone(), since: at };
                self.by_uid.insert(uid.clone(), order);
            }
            OrderKind::Undrain | OrderKind::Forget => drop(self.by_uid.remove(uid)),
        }
    }

    /// The orders after an entry of `at`.
    #[must_use]
    pub fn with(&self, changes: &[OrderChange], at: Timestamp) -> Self {
        let mut next = self.clone();
        for change in changes {
            next.apply(change, at);
        }
        next
    }
}
