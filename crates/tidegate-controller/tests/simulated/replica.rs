//! The Kubernetes side of replicas: Leases, finalizers and Events in memory, which count and can fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_controller::{ApiFailure, LeaseClient, NodeSource, NodeWriter};
use tidegate_core::event::NodeEvent;
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::lease::{LeaseRecord, LeaseWrite, SeenLease};
use tokio::sync::mpsc;

use crate::cluster::FakeCluster;

#[derive(Default)]
pub struct Leases {
    pub lease: Option<SeenLease>,
    versions: u64,
    pub writes: usize,
    pub replicas: BTreeMap<String, Timestamp>,
    listeners: Vec<mpsc::Sender<()>>,
    /// Every call fails.
    pub down: bool,
    /// Every call hangs.
    pub hangs: bool,
}

/// A Lease that several controllers share.
#[derive(Clone, Default)]
pub struct FakeLease(Arc<Mutex<Leases>>);

fn failure() -> ApiFailure {
    ApiFailure::Unreachable { detail: "connection refused".into() }
}

impl FakeLease {
    pub fn inner(&self) -> MutexGuard<'_, Leases> {
        self.0.lock().unwrap()
    }

    pub fn holder(&self) -> Option<String> {
        self.inner().lease.as_ref().and_then(|lease| lease.record.holder.clone())
    }

    async fn check(&self) -> Result<(), ApiFailure> {
        if self.inner().hangs {
            std::future::pending::<()>().await;
        }
        if self.inner().down { Err(failure()) } else { Ok(()) }
    }
}

#[async_trait]
impl LeaseClient for FakeLease {
    async fn read(&self) -> Result<Option<SeenLease>, ApiFailure> {
        self.check().await?;
        Ok(self.inner().lease.clone())
    }

    async fn write(&self, record: &LeaseRecord, version: Option<&str>) -> Result<LeaseWrite, ApiFailure> {
        self.check().await?;
        let mut inner = self.inner();
        if inner.lease.as_ref().map(|lease| lease.version.as_str()) != version {
            return Ok(LeaseWrite::Conflict);
        }
        inner.versions += 1;
        inner.writes += 1;
        let version = inner.versions.to_string();
        inner.lease = Some(SeenLease { record: record.clone(), version: version.clone() });
        if record.holder.is_none() {
            inner.listeners.retain(|listener| !listener.is_closed());
            for listener in &inner.listeners {
                let _ = listener.try_send(());
            }
        }
        Ok(LeaseWrite::Done(version))
    }

    fn vacancies(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(1);
        self.inner().listeners.push(sender);
        receiver
    }

    async fn announce(&self, holder: &str, at: Timestamp) -> Result<(), ApiFailure> {
        self.check().await?;
        self.inner().replicas.insert(holder.to_owned(), at);
        Ok(())
    }

    async fn replicas(&self) -> Result<Vec<(String, Timestamp)>, ApiFailure> {
        self.check().await?;
        Ok(self.inner().replicas.clone().into_iter().collect())
    }

    async fn withdraw(&self, holder: &str) -> Result<(), ApiFailure> {
        self.check().await?;
        self.inner().replicas.remove(holder);
        Ok(())
    }
}

/// Finalizers on the nodes of a [`FakeCluster`], which deletes a node when its last finalizer is gone.
#[derive(Clone)]
pub struct FakeNodes {
    pub cluster: Arc<FakeCluster>,
    pub written: Arc<Mutex<Written>>,
}

#[derive(Default)]
pub struct Written {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub events: Vec<NodeEvent>,
    /// Every patch fails.
    pub refuses: bool,
    pub uid: Option<String>,
}

impl FakeNodes {
    pub fn new(cluster: Arc<FakeCluster>) -> Self {
        Self { cluster, written: Arc::default() }
    }

    pub fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap()
    }

    pub fn reasons(&self, node: &str) -> Vec<&'static str> {
        self.written().events.iter().filter(|e| e.node.as_str() == node).map(|e| e.reason).collect()
    }

    async fn edit(&self, name: &NodeName, uid: &NodeUid, finalizer: bool) -> Result<(), ApiFailure> {
        if self.written().refuses {
            return Err(failure());
        }
        let found = self.cluster.get(name).await.map_err(|_| failure())?;
        let Some(node) = found.filter(|node| node.uid == *uid) else { return Ok(()) };
        if finalizer && node.deleting.is_some() {
            return Ok(());
        }
        let list = if finalizer { &mut self.written().added } else { &mut self.written().removed };
        list.push(name.to_string());
        if !finalizer && node.deleting.is_some() {
            self.cluster.delete(name.as_str());
        } else {
            self.cluster.edit(name.as_str(), |node| node.finalizer = finalizer);
        }
        Ok(())
    }
}

#[async_trait]
impl NodeWriter for FakeNodes {
    async fn add_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure> {
        self.edit(node, uid, true).await
    }

    async fn remove_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure> {
        self.edit(node, uid, false).await
    }

    async fn event(&self, event: &NodeEvent) -> Result<(), ApiFailure> {
        self.written().events.push(event.clone());
        Ok(())
    }

    async fn cluster_uid(&self) -> Result<String, ApiFailure> {
        if self.cluster.state().down {
            return Err(failure());
        }
        Ok(self.written().uid.clone().unwrap_or_else(|| "cluster-1".into()))
    }
}
