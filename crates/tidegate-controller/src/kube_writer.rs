//! Finalizers and Events on the Kubernetes API.

mod patch;

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tidegate_core::event::{NodeEvent, Severity};
use tidegate_core::ids::{NodeName, NodeUid};

use crate::kube_source::NodeObject;
use crate::kube_source::client::{bounded, failure};
use crate::node_writer::NodeWriter;
use crate::source::ApiFailure;

use patch::{Edit, edit};

/// A call that takes longer has failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Somebody who edits the same finalizers gets in between this often at most.
const TRIES: usize = 8;
/// Its uid tells one cluster from another: it is there from the first start, and nobody may delete it.
const IDENTITY: &str = "kube-system";

/// Writes through a [`kube::Client`]. Needs get and patch on nodes, get on the namespace kube-system, and create and patch
/// on events (`events.k8s.io`) in namespace `default`, where Events of Nodes belong.
#[derive(Clone)]
pub struct KubeNodeWriter {
    nodes: Api<NodeObject>,
    namespaces: Api<Namespace>,
    recorder: Recorder,
}

impl KubeNodeWriter {
    /// `instance` is who reports the Events: the pod or the host.
    pub fn new(client: kube::Client, instance: &str) -> Self {
        let client = bounded(client, CALL_TIMEOUT);
        let reporter = Reporter { controller: "tidegate".to_owned(), instance: Some(instance.to_owned()) };
        Self {
            nodes: Api::all(client.clone()),
            namespaces: Api::all(client.clone()),
            recorder: Recorder::new(client, reporter),
        }
    }

    /// Reads the Node, patches it on the condition that nothing of that has changed, and reads again if it has.
    async fn edit(&self, node: &NodeName, uid: &NodeUid, wanted: Edit) -> Result<(), ApiFailure> {
        let mut last =
            ApiFailure::Answered { code: 409, message: "the Node changed between reading and writing".to_owned() };
        for _ in 0..TRIES {
            let found = self.nodes.get_opt(node.as_str()).await.map_err(|error| failure(&error))?;
            let Some(patch) = found.and_then(|object| edit(&object.metadata, uid, wanted)) else { return Ok(()) };
            let operations = serde_json::from_value(patch)
                .map_err(|error| ApiFailure::Answered { code: 400, message: format!("the patch is none: {error}") })?;
            match self.nodes.patch(node.as_str(), &PatchParams::default(), &Patch::Json::<()>(operations)).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => {
                    last = ApiFailure::Answered { code: status.code, message: status.message.clone() };
                }
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(error) => return Err(failure(&error)),
            }
        }
        Err(last)
    }
}

#[async_trait]
impl NodeWriter for KubeNodeWriter {
    async fn add_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure> {
        self.edit(node, uid, Edit::Add).await
    }

    async fn remove_finalizer(&self, node: &NodeName, uid: &NodeUid) -> Result<(), ApiFailure> {
        self.edit(node, uid, Edit::Remove).await
    }

    async fn event(&self, event: &NodeEvent) -> Result<(), ApiFailure> {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(event.node.to_string()),
            // As the kubelet and the node controller do, so that `kubectl describe node` finds it.
            uid: Some(event.uid.to_string()),
            ..ObjectReference::default()
        };
        let type_ = match event.severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        };
        let event = Event {
            type_,
            reason: event.reason.to_owned(),
            note: Some(event.note.clone()),
            action: event.action.to_owned(),
            secondary: None,
        };
        self.recorder.publish(&event, &about).await.map_err(|error| failure(&error))
    }

    async fn cluster_uid(&self) -> Result<String, ApiFailure> {
        let namespace = self.namespaces.get(IDENTITY).await.map_err(|error| failure(&error))?;
        let absent = || ApiFailure::Answered { code: 200, message: format!("namespace {IDENTITY} has no uid") };
        namespace.metadata.uid.ok_or_else(absent)
    }
}
