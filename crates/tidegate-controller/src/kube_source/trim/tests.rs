use k8s_openapi::api::core::v1 as core_v1;
use serde_json::json;
use tidegate_core::time::after;

use super::*;
use crate::clock::SystemClock;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// What the API server would send for this object, read as it is read from there.
fn received(node: &core_v1::Node) -> NodeObject {
    serde_json::from_value(serde_json::to_value(node).unwrap()).unwrap()
}

fn full() -> core_v1::Node {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": "w1", "uid": "6f1c0a52-9a1c-4d0e-8a35-8a8f6b1f3c11",
            "creationTimestamp": "2026-11-01T00:00:00Z", "deletionTimestamp": "2026-11-24T11:59:00Z",
            "labels": {"role": "worker", "kubernetes.io/os": "linux"},
            "managedFields": [{"manager": "kubelet", "operation": "Update"}],
        },
        "spec": {"unschedulable": true, "taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}]},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": "w1.lan"},
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "InternalIP", "address": "::ffff:10.0.0.2"},
                {"type": "InternalIP", "address": "not-an-ip"},
                {"type": "ExternalIP", "address": "2001:db8::1"},
                {"type": "InternalDNS", "address": "w1.internal"},
            ],
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "down",
                 "lastTransitionTime": "2026-11-24T11:58:00Z", "lastHeartbeatTime": "2026-11-24T11:59:59Z"},
                {"type": "NetworkUnavailable", "status": "True", "lastTransitionTime": "2026-11-24T12:00:07Z"},
                {"type": "MemoryPressure", "status": "False"},
            ],
            "images": [{"names": ["registry/x@sha256:0"], "sizeBytes": 1}],
            "nodeInfo": {"architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
                "kubeProxyVersion": "", "kubeletVersion": "v1.36.3", "machineID": "", "operatingSystem": "linux",
                "osImage": "", "systemUUID": ""},
        },
    }))
    .unwrap()
}

/// Of thousands of nodes, what is never held while a page of them is read is most of the memory of a relist.
#[test]
fn what_nobody_asks_for_is_not_even_held_for_a_moment() {
    let metadata = received(&full()).metadata;
    assert_eq!(metadata.managed_fields, None);
    assert!(metadata.uid.is_some() && metadata.labels.is_some_and(|labels| labels.len() == 2));
}

#[test]
fn only_what_decisions_use_is_kept() {
    let keys: BTreeSet<String> = ["role".to_owned(), "absent".to_owned()].into();
    let node = trimmed(&received(&full()), &keys, now()).unwrap();
    assert_eq!(node.name.as_str(), "w1");
    assert_eq!(node.created, Some("2026-11-01T00:00:00Z".parse().unwrap()));
    assert_eq!(node.deleting, Some("2026-11-24T11:59:00Z".parse().unwrap()));
    assert_eq!(node.labels, [("role".to_owned(), "worker".to_owned())].into());
    assert_eq!(node.taints, ["a".to_owned()].into());
    assert!(node.unschedulable);
    assert_eq!(node.hostname.as_deref(), Some("w1.lan"));
    let addresses: Vec<String> = node.addresses.iter().map(|a| a.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2", "2001:db8::1"]);
    let ready = node.ready.unwrap();
    assert_eq!(
        (ready.status, ready.reason.as_str(), ready.message.as_str()),
        (ConditionStatus::False, "KubeletNotReady", "down")
    );
    assert_eq!(ready.since, "2026-11-24T11:58:00Z".parse().unwrap());
    let network = node.network_unavailable.unwrap();
    assert_eq!(network.since, now(), "a clock ahead of ours is not believed");
}

#[test]
fn a_heartbeat_changes_nothing() {
    let before = received(&full());
    let mut beat = full();
    for condition in beat.status.as_mut().unwrap().conditions.as_mut().unwrap() {
        condition.last_heartbeat_time = None;
    }
    beat.metadata.resource_version = Some("99".into());
    let keys = BTreeSet::new();
    // The condition whose time lies ahead of our clock is bounded by the first sight of it.
    let mut later = trimmed(&received(&beat), &keys, after(now(), std::time::Duration::from_secs(5))).unwrap();
    let first = trimmed(&before, &keys, now()).unwrap();
    later.keep_earlier_since(&first);
    assert_eq!(later, first);
}

#[test]
fn a_node_of_the_least_is_a_node() {
    let bare: NodeObject = serde_json::from_value(json!({"metadata": {"name": "w1", "uid": "u"}})).unwrap();
    let node = trimmed(&bare, &BTreeSet::new(), now()).unwrap();
    assert_eq!((node.ready, node.addresses.len(), node.hostname), (None, 0, None));
    let nulls =
        json!({"metadata": {"name": "w1", "uid": "u"}, "spec": {"taints": null}, "status": {"conditions": null}});
    assert!(trimmed(&serde_json::from_value(nulls).unwrap(), &BTreeSet::new(), now()).is_ok());
}

#[test]
fn what_has_no_usable_name_or_uid_is_skipped() {
    let trimmer = Trimmer::new(BTreeSet::new(), Arc::new(SystemClock));
    for metadata in [
        json!({"name": "w1"}),
        json!({"uid": "u"}),
        json!({"name": "a;b", "uid": "u"}),
        json!({"name": "w1", "uid": "u\n"}),
    ] {
        let object: NodeObject = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        assert_eq!(trimmer.trim(&object), None);
        assert_eq!(trimmer.identify(&object), None);
    }
}

#[test]
fn a_deletion_from_a_clock_ahead_of_ours_began_now_at_the_latest() {
    let mut node = full();
    node.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-24T12:00:07Z")).unwrap();
    assert_eq!(trimmed(&received(&node), &BTreeSet::new(), now()).unwrap().deleting, Some(now()));
}
