//! Node and Lease objects as a kubelet writes them. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeSpec, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use serde_json::{Value, json};
use sha2::Digest as _;

const LEASE_SECONDS: i32 = 40;
/// `nodeStatusMaxImages` of a kubelet that was told nothing.
const IMAGES: u32 = 50;

pub(super) fn node(name: &str, labels: &BTreeMap<String, String>) -> Node {
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels.clone()), ..ObjectMeta::default() };
    Node { metadata, ..Node::default() }
}

/// The same with taints of effect `NoSchedule`.
pub(super) fn tainted(node: Node, keys: &[String]) -> Node {
    let taint = |key: &String| Taint { key: key.clone(), effect: "NoSchedule".to_owned(), ..Taint::default() };
    let taints: Vec<Taint> = keys.iter().map(taint).collect();
    let taints = (!taints.is_empty()).then_some(taints);
    Node { spec: Some(NodeSpec { taints, ..NodeSpec::default() }), ..node }
}

pub(super) fn lease(name: &str) -> Lease {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let spec = LeaseSpec {
        holder_identity: Some(name.to_owned()),
        lease_duration_seconds: Some(LEASE_SECONDS),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    };
    Lease { metadata, spec: Some(spec) }
}

pub(super) fn renewal() -> Value {
    json!({ "spec": { "renewTime": MicroTime(Timestamp::now()) } })
}

/// The status of a healthy node.
pub(super) fn status(addresses: &[IpAddr]) -> Value {
    let fine = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
        ("Ready", "True", "KubeletReady"),
    ];
    let conditions: Vec<Value> =
        fine.iter().map(|(kind, status, reason)| condition(kind, status, reason, "reported by the testbed")).collect();
    json!({
        "addresses": self::addresses(addresses),
        "conditions": conditions,
        "capacity": { "cpu": "2", "memory": "4Gi", "pods": "110" },
        "nodeInfo": {
            "kubeletVersion": "v1.36.3", "kubeProxyVersion": "", "operatingSystem": "linux",
            "architecture": "amd64", "kernelVersion": "6.18", "osImage": "testbed",
            "containerRuntimeVersion": "none://0", "machineID": "", "systemUUID": "", "bootID": ""
        }
    })
}

/// The images of a node: each by its digest and by its tag, as a container runtime names it.
pub(super) fn images(node: &str) -> Vec<Value> {
    let image = |number: u32| {
        let repository =
            format!("registry.eu-central-1.example.com/platform-services/team-{}/service-{number}", number % 7);
        let digest = hex::encode(sha2::Sha256::digest(format!("{node} {number}")));
        let names = [
            format!("{repository}@sha256:{digest}"),
            format!("{repository}:release-2026.11.{number}-{}", digest.get(..12).unwrap_or_default()),
        ];
        json!({ "names": names, "sizeBytes": 48_000_000 + u64::from(number) * 1_234_567 })
    };
    (0..IMAGES).map(image).collect()
}

pub(super) fn addresses(addresses: &[IpAddr]) -> Vec<Value> {
    let internal = |ip: &IpAddr| json!({ "type": "InternalIP", "address": ip.to_string() });
    addresses.iter().map(internal).collect()
}

pub(super) fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": now, "lastTransitionTime": now
    })
}

pub(super) fn ready_status(node: &Node) -> Option<&str> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    Some(&ready.status)
}
