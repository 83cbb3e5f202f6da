//! What the tasks around the loop tell it.

use std::time::Duration;

use tidegate_core::ids::{LoadBalancerName, NodeName, NodeUid};
use tidegate_core::node::Node;
use tidegate_core::position::Position;
use tokio::time::Instant;

use crate::source::SourceError;

/// One message to the loop.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a message lives for a moment, and few wait at a time")]
pub(super) enum Input {
    /// A LIST ended.
    Listed { started: Instant, took: Duration, result: Result<Vec<Node>, SourceError> },
    /// A GET of a member that seems gone ended.
    Confirmed { name: NodeName, uid: NodeUid, result: Result<Option<Node>, SourceError> },
    /// Another position is live on a load balancer.
    Live { balancer: LoadBalancerName, position: Position, at: Instant },
    /// A load balancer has a position that this log does not lead up to.
    Ahead { balancer: LoadBalancerName, position: Position },
    /// Somebody else has opened a newer term on the store.
    Fenced { holder: String, found: Position },
}
