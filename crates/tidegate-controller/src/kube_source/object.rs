//! A Node as it is read from the API: images, volumes and whatever else nobody asks for is skipped
//! while the JSON is read, and never held.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use kube::core::ClusterResourceScope;
use serde::{Deserialize, Deserializer};

/// The fields of a Node that decisions use, as the API writes them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct NodeObject {
    /// Of `metadata` what is used.
    #[serde(default, deserialize_with = "used_metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(default)]
    pub(super) status: Status,
}

/// Without `managedFields`: who has ever written which field is a tree of maps, several times as large in memory as all that
/// is used of a node.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsedMetadata {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
}

fn used_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let used = UsedMetadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: used.name,
        uid: used.uid,
        resource_version: used.resource_version,
        creation_timestamp: used.creation_timestamp,
        deletion_timestamp: used.deletion_timestamp,
        labels: used.labels,
        annotations: used.annotations,
        finalizers: used.finalizers,
        ..ObjectMeta::default()
    })
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) taints: Option<Vec<Taint>>,
    #[serde(default)]
    pub(super) unschedulable: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Taint {
    pub(super) key: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    pub(super) addresses: Option<Vec<Address>>,
    #[serde(default)]
    pub(super) conditions: Option<Vec<RawCondition>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Address {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) last_transition_time: Option<String>,
}

impl Resource for NodeObject {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Node".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "nodes".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
