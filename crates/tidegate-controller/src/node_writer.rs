//! The seam to everything that is written on the Kubernetes side: our finalizer, and Events.

use async_trait::async_trait;
use tidegate_core::event::NodeEvent;
use tidegate_core::ids::{NodeName, NodeUid};

use crate::source::ApiFailure;

/// Where finalizers and Events are written. Every write may be repeated: what is so already is done.
#[async_trait]
pub trait NodeWriter: Send + Sync + 'static {
    /// Puts our finalizer on this Node, unless it is another one by now, is being deleted, or is gone.
    async fn add_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure>;

    /// Takes our finalizer off this Node, and nothing else, unless it is another one by now or gone.
    async fn remove_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure>;

    /// Tells a person who looks at the Node.
    async fn event(&self, event: &NodeEvent) -> Result<(), ApiFailure>;

    /// What tells this cluster from every other: the uid of its namespace `kube-system`.
    async fn cluster_uid(&self) -> Result<String, ApiFailure>;
}
