//! What the tasks around the loop tell it.

use std::time::Duration;

use tidegate_core::finalizer::FinalizerTask;
use tidegate_core::follow::Follow;
use tidegate_core::ids::{LoadBalancerName, NodeName, NodeUid};
use tidegate_core::node::Node;
use tidegate_core::position::Position;
use tidegate_store::StoreError;
use tokio::time::Instant;

use super::tail::Tail;
use crate::follow_source::FollowEvent;
use crate::orders::{Answer, OrderReply, OrderRequest, OverrideReply, OverrideRequest};
use crate::source::{ApiFailure, SourceError};

/// One message to the loop.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a message lives for a moment, and few wait at a time")]
pub(crate) enum Input {
    /// A LIST ended.
    Listed { started: Instant, took: Duration, result: Result<Vec<Node>, SourceError> },
    /// A GET of a member that seems gone ended.
    Confirmed { name: NodeName, uid: NodeUid, result: Result<Option<Node>, SourceError> },
    /// Another position is live on a load balancer.
    Live { balancer: LoadBalancerName, position: Position, at: Instant },
    /// A load balancer has said what stands behind its listeners.
    Counted,
    /// A load balancer has a position that this log does not lead up to.
    Ahead { balancer: LoadBalancerName, position: Position },
    /// Somebody else has opened a newer term on the store.
    Fenced { holder: String, found: Position },
    /// A follower's look at the log ended.
    Tail { result: Result<Tail, StoreError> },
    /// A patch of a Node ended; none: it was not sent.
    Patched { task: FinalizerTask, result: Option<Result<(), ApiFailure>> },
    /// The API server was asked which cluster this is.
    ClusterUid { result: Result<String, ApiFailure> },
    /// The read model of the store had to be put right.
    Repaired { repairs: Vec<String> },
    /// Something was heard of what listeners follow.
    Followed { follow: Follow, event: FollowEvent, received: Instant },
    /// An operator asks for something.
    Order { request: OrderRequest, answer: Answer<OrderReply> },
    /// An operator lets through what a guard holds.
    Override { request: OverrideRequest, answer: Answer<OverrideReply> },
}
