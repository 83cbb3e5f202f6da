//! The seam to the cluster: where Nodes are listed, looked up and watched.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::node::Node;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// One thing that the watch said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is an Applied")]
pub enum WatchEvent {
    /// The watch began anew with this complete set. It may come from a cache that lags behind.
    Listed(Vec<Node>),
    /// A node appeared or changed.
    Applied(Node),
    /// A node object was deleted.
    Deleted(NodeName, NodeUid),
}

/// An event with the moment at which it was received, for `tidegate_event_to_live_seconds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When it was received from the API server.
    pub received: Instant,
    /// What it says.
    pub event: WatchEvent,
}

impl Observation {
    /// An event that was received this moment.
    pub fn now(event: WatchEvent) -> Self {
        Self { received: Instant::now(), event }
    }
}

/// Where Nodes come from: the Kubernetes API, or a fake that injects faults.
#[async_trait]
pub trait NodeSource: Send + Sync + 'static {
    /// Every Node, from a consistent read.
    async fn list(&self) -> Result<Vec<Node>, SourceError>;

    /// One Node by its name, from a consistent read; nothing when it does not exist.
    async fn get(&self, name: &NodeName) -> Result<Option<Node>, SourceError>;

    /// Starts a watch that recovers by itself. It ends when the receiver is dropped.
    fn watch(&self) -> mpsc::Receiver<Observation>;
}

/// Why a Node could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SourceError {
    /// The complete LIST.
    #[error("listing the Nodes: {cause}")]
    List {
        /// Why.
        cause: ApiFailure,
    },
    /// The GET of one Node.
    #[error("reading Node {node}: {cause}")]
    Get {
        /// Which.
        node: NodeName,
        /// Why.
        cause: ApiFailure,
    },
}

impl SourceError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        let (Self::List { cause } | Self::Get { cause, .. }) = self;
        cause.class()
    }
}

/// How the Kubernetes API failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApiFailure {
    /// No answer in time.
    #[error("the API server did not answer within {} s; cure: check that it runs and is reachable", limit.as_secs())]
    Timeout {
        /// How long was waited.
        limit: Duration,
    },
    /// An answer other than success.
    #[error("the API server answered {code}: {message}{}", cure_of(*code))]
    Answered {
        /// HTTP status.
        code: u16,
        /// What it said.
        message: String,
    },
    /// Nothing to identify ourselves with: no kubeconfig, or one that cannot be used.
    #[error("{detail}; cure: put a kubeconfig there that may get, list and watch nodes; it is read again by itself")]
    Credentials {
        /// Which file, and what is wrong with it.
        detail: String,
    },
    /// No connection, or one that broke.
    #[error("the API server cannot be reached: {detail}; cure: check that it runs and is reachable")]
    Unreachable {
        /// What the client says.
        detail: String,
    },
}

impl ApiFailure {
    /// Whether to retry: what the server refuses today it refuses until somebody changes something.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Answered { code: 429 | 500.., .. }
            | Self::Timeout { .. }
            | Self::Credentials { .. }
            | Self::Unreachable { .. } => ErrorClass::Transient,
            Self::Answered { code: 410, .. } => ErrorClass::Conflict,
            Self::Answered { .. } => ErrorClass::Permanent,
        }
    }
}

const fn cure_of(code: u16) -> &'static str {
    match code {
        401 => "; cure: renew the credentials of the kubeconfig",
        403 => "; cure: grant it (deploy/rbac.yaml; for what listeners follow: deploy/rbac-follow.yaml)",
        _ => "",
    }
}
