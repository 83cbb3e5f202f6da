//! The Leases of a cluster whose credentials may come later.

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_controller::{ApiFailure, KubeLease, LeaseClient};
use tidegate_core::lease::{LeaseRecord, LeaseWrite, SeenLease};
use tokio::sync::mpsc;

use super::Cluster;

/// The Lease with which replicas choose the one that decides.
pub struct LateLease {
    cluster: Cluster,
    namespace: String,
    lease: String,
}

impl LateLease {
    /// The Lease of this name.
    pub const fn new(cluster: Cluster, namespace: String, lease: String) -> Self {
        Self { cluster, namespace, lease }
    }

    async fn lease(&self) -> Result<KubeLease, ApiFailure> {
        Ok(KubeLease::new(self.cluster.client().await?, &self.namespace, &self.lease))
    }
}

#[async_trait]
impl LeaseClient for LateLease {
    async fn read(&self) -> Result<Option<SeenLease>, ApiFailure> {
        self.lease().await?.read().await
    }

    async fn write(&self, record: &LeaseRecord, version: Option<&str>) -> Result<LeaseWrite, ApiFailure> {
        self.lease().await?.write(record, version).await
    }

    fn vacancies(&self) -> mpsc::Receiver<()> {
        let (namespace, lease) = (self.namespace.clone(), self.lease.clone());
        self.cluster.listen(move |client| KubeLease::new(client, &namespace, &lease).vacancies())
    }

    async fn announce(&self, holder: &str, at: Timestamp) -> Result<(), ApiFailure> {
        self.lease().await?.announce(holder, at).await
    }

    async fn replicas(&self) -> Result<Vec<(String, Timestamp)>, ApiFailure> {
        self.lease().await?.replicas().await
    }

    async fn withdraw(&self, holder: &str) -> Result<(), ApiFailure> {
        self.lease().await?.withdraw(holder).await
    }
}
