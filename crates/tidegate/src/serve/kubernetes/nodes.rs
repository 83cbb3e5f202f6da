//! The nodes of a cluster whose credentials may come later.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_controller::{ApiFailure, KubeNodeSource, NodeSource, Observation, SourceError};
use tidegate_core::ids::NodeName;
use tidegate_core::node::Node;
use tidegate_core::policy::NodePolicy;
use tokio::sync::{OnceCell, mpsc};

use super::Cluster;

/// Reads Nodes.
pub struct LateNodeSource {
    cluster: Cluster,
    policy: NodePolicy,
    // Shared, because it remembers what it has warned of.
    source: Arc<OnceCell<KubeNodeSource>>,
}

impl LateNodeSource {
    /// Reads what this policy looks at.
    pub fn new(cluster: Cluster, policy: NodePolicy) -> Self {
        Self { cluster, policy, source: Arc::default() }
    }

    async fn source(&self) -> Result<&KubeNodeSource, ApiFailure> {
        self.source.get_or_try_init(async || Ok(source_of(self.cluster.client().await?, &self.policy))).await
    }
}

fn source_of(client: kube::Client, policy: &NodePolicy) -> KubeNodeSource {
    KubeNodeSource::new(client, policy.label_keys())
}

#[async_trait]
impl NodeSource for LateNodeSource {
    async fn list(&self) -> Result<Vec<Node>, SourceError> {
        self.source().await.map_err(|cause| SourceError::List { cause })?.list().await
    }

    async fn get(&self, name: &NodeName) -> Result<Option<Node>, SourceError> {
        self.source().await.map_err(|cause| SourceError::Get { node: name.clone(), cause })?.get(name).await
    }

    fn watch(&self) -> mpsc::Receiver<Observation> {
        let (policy, source) = (self.policy.clone(), self.source.clone());
        self.cluster.listen(move |client| {
            // Whichever of LIST and watch comes first makes it.
            let _ = source.set(source_of(client.clone(), &policy));
            source.get().cloned().unwrap_or_else(|| source_of(client, &policy)).watch()
        })
    }
}
