//! The pods of an ingress DaemonSet, as its controller, the kubelets and the EndpointSlice controller would have them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::manifests;

/// Of pods, Service and Role; what `deploy/rbac-follow.yaml` is about.
pub const NAMESPACE: &str = "ingress-nginx";
/// Selects the pods.
pub const SELECTOR: &str = "app.kubernetes.io/name=ingress-nginx";
/// The Service in front of them.
pub const SERVICE: &str = "ingress-nginx-controller";
/// What a kubelet gives a pod that ends; longer than any test waits.
const GRACE_SECONDS: u32 = 120;

/// How a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Ending,
}

/// One pod on each node, and the EndpointSlice of their Service.
#[derive(Debug)]
pub struct IngressPods {
    pods: Api<Pod>,
    slices: Api<EndpointSlice>,
    /// By node: how many pods it has had, and how the latest is.
    states: Mutex<BTreeMap<String, (u32, State)>>,
}

impl IngressPods {
    /// The namespace, and in it what `deploy/rbac-follow.yaml` grants.
    pub async fn new(client: Client) -> Result<Self> {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        let created = Api::<Namespace>::all(client.clone());
        created.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
        let rights = manifests::read_file(&manifests::deploy_folder().join("rbac-follow.yaml"))?;
        manifests::apply(&client, &rights).await.context("applying deploy/rbac-follow.yaml")?;
        let slices = Api::<EndpointSlice>::namespaced(client.clone(), NAMESPACE);
        let slice = json!({
            "metadata": { "name": SLICE, "labels": { "kubernetes.io/service-name": SERVICE } },
            "addressType": "IPv4", "endpoints": [],
        });
        slices.create(&PostParams::default(), &serde_json::from_value(slice)?).await?;
        Ok(Self { pods: Api::namespaced(client, NAMESPACE), slices, states: Mutex::default() })
    }

    /// A pod starts on a node: scheduled, and not Ready yet.
    pub async fn start(&self, node: &str) -> Result<()> {
        let number = self.of(node).map_or(1, |(number, _)| number + 1);
        let pod = json!({
            "metadata": { "name": name(node, number), "labels": { "app.kubernetes.io/name": "ingress-nginx" } },
            "spec": { "nodeName": node, "hostNetwork": true, "containers": [{ "name": "controller", "image": "nginx" }] },
        });
        self.pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        self.set(node, number, State::Starting).await
    }

    /// Its readiness probe is answered.
    pub async fn ready(&self, node: &str) -> Result<()> {
        self.report(node, true).await
    }

    /// Its readiness probe is not answered any more.
    pub async fn unready(&self, node: &str) -> Result<()> {
        self.report(node, false).await
    }

    /// Somebody deletes it: from now on it has a deletionTimestamp, and its kubelet runs its preStop hook.
    pub async fn delete(&self, node: &str) -> Result<()> {
        let (number, _) = self.known(node)?;
        let grace = DeleteParams { grace_period_seconds: Some(GRACE_SECONDS), ..DeleteParams::default() };
        self.pods.delete(&name(node, number), &grace).await?;
        self.set(node, number, State::Ending).await
    }

    /// Its containers have ended: its kubelet takes it off the API server.
    pub async fn gone(&self, node: &str) -> Result<()> {
        let (number, _) = self.known(node)?;
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods.delete(&name(node, number), &now).await?;
        Ok(())
    }

    async fn report(&self, node: &str, ready: bool) -> Result<()> {
        let (number, _) = self.known(node)?;
        let status = if ready { "True" } else { "False" };
        let status = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": status }] } });
        let patch = Patch::Strategic(status);
        self.pods.patch_status(&name(node, number), &PatchParams::default(), &patch).await?;
        self.set(node, number, if ready { State::Ready } else { State::Starting }).await
    }

    async fn set(&self, node: &str, number: u32, state: State) -> Result<()> {
        let endpoints = {
            let mut states = self.states.lock().map_err(|_| anyhow!("a test thread died"))?;
            states.insert(node.to_owned(), (number, state));
            states.iter().enumerate().map(endpoint).collect::<Vec<_>>()
        };
        let patch = Patch::Merge(json!({ "endpoints": endpoints }));
        self.slices.patch(SLICE, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn of(&self, node: &str) -> Option<(u32, State)> {
        self.states.lock().ok()?.get(node).copied()
    }

    fn known(&self, node: &str) -> Result<(u32, State)> {
        self.of(node).with_context(|| format!("there never was a pod on {node}"))
    }
}

const SLICE: &str = "ingress-nginx-controller-1";

fn name(node: &str, number: u32) -> String {
    format!("ingress-{node}-{number}")
}

/// Conditions as the EndpointSlice controller sets them.
fn endpoint((index, (node, (number, state))): (usize, (&String, &(u32, State)))) -> Value {
    json!({
        "addresses": [format!("192.0.2.{}", index + 1)],
        "nodeName": node,
        "targetRef": { "kind": "Pod", "namespace": NAMESPACE, "name": name(node, *number) },
        "conditions": {
            "ready": *state == State::Ready,
            "serving": *state != State::Starting,
            "terminating": *state == State::Ending,
        },
    })
}
