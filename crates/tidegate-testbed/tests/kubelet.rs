//! The kubelet stand-in convinces a real API server and a real node lifecycle controller.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use tidegate_testbed::kubelet::{Bulk, Kubelet, KubeletOptions, Size};
use tidegate_testbed::{Cluster, ClusterOptions, deadline};

const SOON: Duration = Duration::from_secs(30);

fn options(name: &str) -> KubeletOptions {
    KubeletOptions::new(name, vec!["10.1.2.3".parse().unwrap(), "fd00::3".parse().unwrap()])
}

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.clone().unwrap_or_default().taints.unwrap_or_default();
    taints.into_iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect()
}

#[tokio::test]
async fn a_node_without_heartbeats_turns_unknown_and_comes_back() {
    let options_of = ClusterOptions { controller_manager: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(options_of).await.unwrap();
    // With all nodes silent at once the controller manager would evict nothing: keep one alive.
    let other = Kubelet::start(cluster.client().await.unwrap(), options("other")).await.unwrap();
    let kubelet = Kubelet::start(cluster.client().await.unwrap(), options("silent")).await.unwrap();
    kubelet.wait_ready("True", SOON).await.unwrap();
    // Longer than the grace period: heartbeats are what keeps it Ready.
    tokio::time::sleep(Duration::from_secs(5)).await;
    kubelet.wait_ready("True", Duration::from_millis(500)).await.unwrap();

    let stopped = Instant::now();
    kubelet.stop();
    kubelet.wait_ready("Unknown", SOON).await.unwrap();
    assert!(stopped.elapsed() > Duration::from_secs(2), "{:?}", stopped.elapsed());
    deadline::until("the taint", SOON, || async {
        let node = kubelet.node().await.ok()?;
        taints(&node).contains(&"node.kubernetes.io/unreachable:NoExecute".to_owned()).then_some(())
    })
    .await
    .unwrap();
    other.wait_ready("True", Duration::from_secs(1)).await.unwrap();

    kubelet.resume().await.unwrap();
    kubelet.wait_ready("True", SOON).await.unwrap();
    deadline::until("no taint", SOON, || async { taints(&kubelet.node().await.ok()?).is_empty().then_some(()) })
        .await
        .unwrap();
}

#[tokio::test]
async fn every_field_that_decides_about_a_node_can_be_set() {
    let client = Cluster::shared().await.unwrap().client().await.unwrap();
    let kubelet = Kubelet::start(client, options("fields")).await.unwrap();
    let node = kubelet.node().await.unwrap();
    let addresses = node.status.unwrap().addresses.unwrap();
    let addresses: Vec<&str> = addresses.iter().map(|address| address.address.as_str()).collect();
    assert_eq!(addresses, ["10.1.2.3", "fd00::3"]);

    kubelet.set_ready(false, "KubeletNotReady", "container runtime is down").await.unwrap();
    kubelet.wait_ready("False", SOON).await.unwrap();
    kubelet.set_condition("DiskPressure", "True", "KubeletHasDiskPressure", "full").await.unwrap();
    kubelet.set_addresses(&["10.9.9.9".parse().unwrap()]).await.unwrap();
    kubelet.add_taint("example.com/one", "a", "NoSchedule").await.unwrap();
    kubelet.add_taint("example.com/two", "b", "NoExecute").await.unwrap();
    kubelet.remove_taint("example.com/one").await.unwrap();
    kubelet.label("zone", Some("a")).await.unwrap();
    kubelet.set_cordoned(true).await.unwrap();

    let node = kubelet.node().await.unwrap();
    // Cordoning adds a taint of its own only where the lifecycle controller runs.
    assert_eq!(taints(&node), ["example.com/two:NoExecute"]);
    assert_eq!(node.metadata.labels.as_ref().unwrap()["zone"], "a");
    assert_eq!(node.spec.as_ref().unwrap().unschedulable, Some(true));
    let status = node.status.unwrap();
    assert_eq!(status.addresses.unwrap().len(), 1);
    let pressed = |kind: &str| status.conditions.iter().flatten().any(|c| c.type_ == kind && c.status == "True");
    assert!(pressed("DiskPressure") && !pressed("MemoryPressure"));

    kubelet.label("zone", None).await.unwrap();
    assert!(!kubelet.node().await.unwrap().metadata.labels.unwrap().contains_key("zone"));
    kubelet.delete().await.unwrap();
    kubelet.wait_gone(SOON).await.unwrap();
}

#[tokio::test]
async fn many_nodes_at_once() {
    let client = Cluster::shared().await.unwrap().client().await.unwrap();
    let bulk = Bulk::create(client.clone(), "many", 300, Size::Slim).await.unwrap();
    assert_eq!(bulk.members()[299].address.to_string(), "10.128.1.44");
    bulk.set_ready(&bulk.members()[..100], false).await.unwrap();
    let ours = ListParams::default().labels("tidegate.io/testbed-bulk=many");
    let nodes = Api::<Node>::all(client).list(&ours).await.unwrap().items;
    let ready = nodes.iter().filter(|node| {
        let conditions = node.status.as_ref().unwrap().conditions.as_ref().unwrap();
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    assert_eq!((nodes.len(), ready.count()), (300, 200));
    bulk.delete().await.unwrap();
}
