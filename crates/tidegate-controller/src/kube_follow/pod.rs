//! A pod as it is read from the API: where it is, whether it is Ready, and whether somebody ends it.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Resource;
use serde::Deserialize;
use tidegate_core::follow::{Instance, InstanceState};
use tidegate_core::ids::NodeName;

use super::Followed;

/// The fields of a pod that decisions use. Containers, volumes and whatever else nobody asks for is skipped while the JSON
/// is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PodObject {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default)]
    node_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct PodStatus {
    #[serde(default)]
    phase: Option<String>,
    #[serde(default)]
    conditions: Option<Vec<PodCondition>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    last_transition_time: Option<String>,
}

impl Followed for PodObject {
    fn instances(&self) -> Vec<Instance> {
        // One that is over (Succeeded, Failed) is as good as none; one that waits for a node is nowhere.
        let over = matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let node = self.spec.node_name.clone().and_then(|name| NodeName::parse(name).ok());
        let (Some(node), false) = (node, over) else { return Vec::new() };
        let ready = self.status.conditions.iter().flatten().find(|condition| condition.kind == "Ready");
        let state = match ready {
            _ if self.metadata.deletion_timestamp.is_some() => InstanceState::Ending,
            Some(ready) if ready.status == "True" => InstanceState::Ready,
            _ => InstanceState::NotReady,
        };
        let since = ready.and_then(|ready| ready.last_transition_time.as_deref()).and_then(|text| text.parse().ok());
        let name = self.metadata.name.clone().unwrap_or_default();
        vec![Instance { name, node, state, since }]
    }
}

impl Resource for PodObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn pod(deleted: bool, phase: &str, ready: Option<&str>) -> Vec<Instance> {
        let conditions = ready.map(|status| json!([{ "type": "Ready", "status": status }]));
        let mut pod = json!({
            "metadata": { "name": "p1" },
            "spec": { "nodeName": "w1", "containers": [] },
            "status": { "phase": phase, "conditions": conditions },
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-24T12:00:30Z");
        }
        serde_json::from_value::<PodObject>(pod).unwrap().instances()
    }

    #[rstest]
    #[case(false, "Running", Some("True"), Some(InstanceState::Ready))]
    #[case(false, "Running", Some("False"), Some(InstanceState::NotReady))]
    #[case(false, "Pending", None, Some(InstanceState::NotReady))]
    #[case(true, "Running", Some("True"), Some(InstanceState::Ending))]
    #[case(true, "Running", Some("False"), Some(InstanceState::Ending))]
    #[case(false, "Failed", Some("False"), None)]
    #[case(false, "Succeeded", None, None)]
    fn a_pod_is_what_its_status_and_its_deletion_say(
        #[case] deleted: bool,
        #[case] phase: &str,
        #[case] ready: Option<&str>,
        #[case] expected: Option<InstanceState>,
    ) {
        let states: Vec<InstanceState> = pod(deleted, phase, ready).iter().map(|i| i.state).collect();
        assert_eq!(states, Vec::from_iter(expected));
    }

    #[test]
    fn one_that_has_no_node_yet_is_nowhere() {
        let pod: PodObject = serde_json::from_value(json!({ "metadata": { "name": "p1" }, "spec": {} })).unwrap();
        assert_eq!(pod.instances(), []);
    }
}
