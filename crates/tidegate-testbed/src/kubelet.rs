//! A kubelet stand-in: a Node object, its status, and the heartbeats that keep it Ready.

mod bulk;
mod object;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::deadline;
pub use bulk::{Bulk, BulkNode, Size};

/// Where kubelets renew their leases.
const LEASES: &str = "kube-node-lease";
/// A new cluster makes its own namespaces a moment after it is ready.
const NAMESPACE_WITHIN: Duration = Duration::from_secs(20);
/// A heartbeat that takes longer is lost; the next one follows.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub struct KubeletOptions {
    pub name: String,
    /// Reported as `InternalIP`, in this order.
    pub addresses: Vec<IpAddr>,
    pub labels: BTreeMap<String, String>,
    /// Keys of the taints that it registers with (`--register-with-taints`), each `NoSchedule`.
    pub taints: Vec<String>,
    /// Kubernetes renews every 10 s for a grace period of 50 s; ours is 4 s.
    pub heartbeat: Duration,
}

impl KubeletOptions {
    pub fn new(name: &str, addresses: Vec<IpAddr>) -> Self {
        let labels = [("kubernetes.io/hostname", name), ("node-role.kubernetes.io/worker", "")];
        Self {
            name: name.to_owned(),
            addresses,
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            taints: Vec::new(),
            heartbeat: Duration::from_secs(1),
        }
    }
}

/// One node's agent. Dropping it stops the heartbeats, as a power cut does; the Node stays.
#[derive(Debug)]
pub struct Kubelet {
    name: String,
    nodes: Api<Node>,
    leases: Api<Lease>,
    beating: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Registers the node, reports it Ready and begins to send heartbeats.
    pub async fn start(client: Client, options: KubeletOptions) -> Result<Self> {
        let nodes = Api::<Node>::all(client.clone());
        let leases = Api::<Lease>::namespaced(client, LEASES);
        let node = object::tainted(object::node(&options.name, &options.labels), &options.taints);
        let created = nodes.create(&PostParams::default(), &node).await;
        created.with_context(|| format!("registering node {}", options.name))?;
        let beating = Arc::new(AtomicBool::new(true));
        let heart = Heart {
            name: options.name.clone(),
            leases: leases.clone(),
            beating: Arc::clone(&beating),
            pause: options.heartbeat,
        };
        heart.first_beat().await?;
        let task = tokio::spawn(heart.beat());
        let kubelet = Self { name: options.name, nodes, leases, beating, task };
        kubelet.patch_status(&object::status(&options.addresses)).await?;
        Ok(kubelet)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Node as the API server has it.
    pub async fn node(&self) -> Result<Node> {
        Ok(self.nodes.get(&self.name).await?)
    }

    /// The kubelet hangs or its machine is gone: no heartbeat from now on.
    pub fn stop(&self) {
        self.beating.store(false, Ordering::SeqCst);
    }

    /// Heartbeats again, and a Ready status, as a kubelet posts when it is back.
    pub async fn resume(&self) -> Result<()> {
        self.leases.patch(&self.name, &PatchParams::default(), &Patch::Merge(object::renewal())).await?;
        self.beating.store(true, Ordering::SeqCst);
        self.set_ready(true, "KubeletReady", "kubelet is posting ready status").await
    }

    /// Reports the Ready condition with a reason, as the kubelet does when its runtime fails.
    pub async fn set_ready(&self, ready: bool, reason: &str, message: &str) -> Result<()> {
        let status = if ready { "True" } else { "False" };
        self.set_condition("Ready", status, reason, message).await
    }

    /// Reports any condition; the others stay.
    pub async fn set_condition(&self, kind: &str, status: &str, reason: &str, message: &str) -> Result<()> {
        let condition = object::condition(kind, status, reason, message);
        self.patch_status(&json!({ "conditions": [condition] })).await
    }

    /// Replaces the reported addresses.
    pub async fn set_addresses(&self, addresses: &[IpAddr]) -> Result<()> {
        // A strategic merge keeps old addresses by type, so say that the list is whole.
        let addresses = object::addresses(addresses);
        let patch = json!({ "status": { "addresses": addresses } });
        self.nodes.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    pub async fn add_taint(&self, key: &str, value: &str, effect: &str) -> Result<()> {
        let mut taints = self.other_taints(key).await?;
        taints.push(Taint {
            key: key.to_owned(),
            value: Some(value.to_owned()),
            effect: effect.to_owned(),
            time_added: None,
        });
        self.patch(json!({ "spec": { "taints": taints } })).await
    }

    pub async fn remove_taint(&self, key: &str) -> Result<()> {
        let taints = self.other_taints(key).await?;
        self.patch(json!({ "spec": { "taints": taints } })).await
    }

    /// `kubectl cordon` and `uncordon`.
    pub async fn set_cordoned(&self, cordoned: bool) -> Result<()> {
        self.patch(json!({ "spec": { "unschedulable": cordoned } })).await
    }

    /// Sets a label, or removes it with `None`.
    pub async fn label(&self, key: &str, value: Option<&str>) -> Result<()> {
        self.patch(json!({ "metadata": { "labels": { key: value } } })).await
    }

    pub async fn annotate(&self, key: &str, value: Option<&str>) -> Result<()> {
        self.patch(json!({ "metadata": { "annotations": { key: value } } })).await
    }

    /// Asks for the deletion and stops; a finalizer may keep the Node for a while.
    pub async fn delete(&self) -> Result<()> {
        self.stop();
        self.nodes.delete(&self.name, &DeleteParams::default()).await?;
        // The lease would otherwise belong to the next node of that name.
        let _ = self.leases.delete(&self.name, &DeleteParams::default()).await;
        Ok(())
    }

    /// Waits until the Node object is gone.
    pub async fn wait_gone(&self, limit: Duration) -> Result<()> {
        deadline::until(&format!("node {} gone", self.name), limit, || async {
            matches!(self.nodes.get_opt(&self.name).await, Ok(None)).then_some(())
        })
        .await
    }

    /// Waits until the Ready condition has this status: `True`, `False` or `Unknown`.
    pub async fn wait_ready(&self, status: &str, limit: Duration) -> Result<()> {
        deadline::until(&format!("node {} Ready={status}", self.name), limit, || async {
            let node = self.node().await.ok()?;
            (object::ready_status(&node)? == status).then_some(())
        })
        .await
    }

    async fn other_taints(&self, key: &str) -> Result<Vec<Taint>> {
        let taints = self.node().await?.spec.and_then(|spec| spec.taints).unwrap_or_default();
        Ok(taints.into_iter().filter(|taint| taint.key != key).collect())
    }

    async fn patch(&self, patch: serde_json::Value) -> Result<()> {
        self.nodes.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    async fn patch_status(&self, status: &serde_json::Value) -> Result<()> {
        // Strategic: conditions merge by type.
        let patch = Patch::Strategic(json!({ "status": status }));
        self.nodes.patch_status(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The part of a kubelet that renews the lease.
struct Heart {
    name: String,
    leases: Api<Lease>,
    beating: Arc<AtomicBool>,
    pause: Duration,
}

impl Heart {
    async fn first_beat(&self) -> Result<()> {
        deadline::until(&format!("the lease of {}", self.name), NAMESPACE_WITHIN, || async { self.renew().await.ok() })
            .await
    }

    async fn beat(self) {
        let mut ticks = tokio::time::interval(self.pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !self.beating.load(Ordering::SeqCst) {
                continue;
            }
            match tokio::time::timeout(HEARTBEAT_LIMIT, self.renew()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(node = self.name, %error, "lost a heartbeat"),
                Err(_) => tracing::debug!(node = self.name, "a heartbeat took too long"),
            }
        }
    }

    async fn renew(&self) -> kube::Result<()> {
        let renewal = Patch::Merge(object::renewal());
        match self.leases.patch(&self.name, &PatchParams::default(), &renewal).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.leases.create(&PostParams::default(), &object::lease(&self.name)).await?;
            }
            other => {
                other?;
            }
        }
        Ok(())
    }
}
