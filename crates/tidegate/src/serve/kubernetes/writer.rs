//! Finalizers and Events in a cluster whose credentials may come later.

use async_trait::async_trait;
use tidegate_controller::{ApiFailure, KubeNodeWriter, NodeWriter};
use tidegate_core::event::NodeEvent;
use tidegate_core::ids::{NodeName, NodeUid};
use tokio::sync::OnceCell;

use super::Cluster;

/// Writes on Nodes.
pub struct LateNodeWriter {
    cluster: Cluster,
    instance: String,
    // Kept, because it remembers which Events it has written.
    writer: OnceCell<KubeNodeWriter>,
}

impl LateNodeWriter {
    /// Writes in this cluster; `instance` is who reports Events.
    pub fn new(cluster: Cluster, instance: String) -> Self {
        Self { cluster, instance, writer: OnceCell::new() }
    }

    async fn writer(&self) -> Result<&KubeNodeWriter, ApiFailure> {
        let make = async || Ok(KubeNodeWriter::new(self.cluster.client().await?, &self.instance));
        self.writer.get_or_try_init(make).await
    }
}

#[async_trait]
impl NodeWriter for LateNodeWriter {
    async fn add_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure> {
        self.writer().await?.add_finalizer(node, uid).await
    }

    async fn remove_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure> {
        self.writer().await?.remove_finalizer(node, uid).await
    }

    async fn event(&self, event: &NodeEvent) -> Result<(), ApiFailure> {
        self.writer().await?.event(event).await
    }

    async fn cluster_uid(&self) -> Result<String, ApiFailure> {
        self.writer().await?.cluster_uid().await
    }
}
