//! What an operator asks for, and what comes back: `tidegate drain NODE`, `tidegate undrain NODE`.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::guard::Guard;
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::order::OrderKind;
use tidegate_core::position::Position;
use tokio::sync::oneshot;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderRequest {
    /// The node.
    pub(crate) node: NodeName,
    /// [`OrderKind::Drain`] or [`OrderKind::Undrain`].
    pub(crate) kind: OrderKind,
    /// Who asks.
    pub(crate) by: String,
    /// What for.
    pub(crate) why: String,
}

/// A request that was followed, or that asked for what is so already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderReply {
    /// The node.
    pub node: NodeName,
    /// Its uid: the order ends with this very node.
    pub uid: NodeUid,
    /// Where in the log it is recorded; where the log has arrived when nothing had to be.
    #[serde(flatten)]
    pub position: Position,
    /// What was so already, in words: the node is drained (by whom and why), or is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub already: Option<String>,
}

/// One request to let through what a guard holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OverrideRequest {
    /// The guard.
    pub(crate) guard: Guard,
    /// For how long; zero: no longer.
    pub(crate) lasts: Duration,
    /// Who asks.
    pub(crate) by: String,
    /// What for.
    pub(crate) why: String,
}

/// An override that is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideReply {
    /// The guard.
    pub guard: Guard,
    /// When it holds again.
    pub until: Timestamp,
    /// Where in the log it is recorded.
    #[serde(flatten)]
    pub position: Position,
}

/// Where the answer to a request goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, OrderError>>;

/// Why a request was not followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OrderError {
    /// Another replica decides.
    #[error("this controller does not lead{}; cure: ask the leader, or once more in a moment", named(leader.as_deref()))]
    NotLeader {
        /// Who does, by the latest word.
        leader: Option<String>,
    },
    /// Nothing is known of such a node.
    #[error("no node {node} is observed, a member, or drained by an order; cure: check the name (kubectl get nodes)")]
    NoSuchNode {
        /// The name that was asked for.
        node: NodeName,
    },
    /// The guard holds whatever anybody says.
    #[error("guard {guard} cannot be overridden; cure: allowEmpty on the listener, if nobody is to be served")]
    NoOverride {
        /// The guard that was named.
        guard: Guard,
    },
    /// The log cannot be written at the moment.
    #[error("{detail}; cure: check the store; what is not certain yet shows in `tidegate history`")]
    StoreStuck {
        /// What is wrong.
        detail: String,
    },
    /// The controller is starting or ending.
    #[error("this controller is starting or ending; cure: ask once more in a moment")]
    NotRunning,
}

impl OrderError {
    /// Whether to ask again.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::NoSuchNode { .. } | Self::NoOverride { .. } => ErrorClass::Permanent,
            Self::NotLeader { .. } | Self::StoreStuck { .. } | Self::NotRunning => ErrorClass::Transient,
        }
    }
}

fn named(leader: Option<&str>) -> String {
    leader.map(|holder| format!(", {holder} does")).unwrap_or_default()
}
