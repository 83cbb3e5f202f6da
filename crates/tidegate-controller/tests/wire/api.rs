//! The HTTP API of a running controller.

use std::sync::Arc;

use tidegate_controller::serve_api;
use tidegate_core::log::Phase;
use tidegate_core::status::{ClusterStatus, HistoryRow, NodeDetail};
use tokio_util::sync::CancellationToken;

use crate::store::Fault;
use crate::world::{Running, World, eventually, seconds, worker, workers};

struct Served {
    base: String,
    client: reqwest::Client,
    shutdown: CancellationToken,
    handle: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn new(running: &Running) -> Self {
        let registry = running.registry.clone();
        let text = move || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let shutdown = CancellationToken::new();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = serve_api(running.api.clone(), listen, Arc::new(text), shutdown.clone()).await.unwrap();
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base: format!("http://{}", server.local_addr), client, shutdown, handle: server.handle }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

#[tokio::test]
async fn everything_that_it_shows() {
    let world = World::new(workers(2));
    let running = world.start();
    let api = Served::new(&running).await;
    eventually(seconds(10), || running.api.status().is_some_and(|s| s.is_in_sync()), || "not in sync".into()).await;
    assert_eq!(api.get("/healthz").await, (200, "ok\n".into()));
    assert_eq!(api.get("/readyz").await.0, 200);
    let status: ClusterStatus = api.read("/api/v1/status").await;
    assert_eq!((status.nodes.len(), status.leader.holder.as_str()), (2, "one"));

    world.cluster.edit("w1", |n| {
        n.taints.insert("node.kubernetes.io/out-of-service".into());
    });
    eventually(seconds(10), || world.agents[0].live_nodes() == ["w2"], || "w1 stays".into()).await;
    let detail: NodeDetail = api.read("/api/v1/nodes/w1").await;
    let node = detail.node.unwrap();
    assert_eq!(node.state, Phase::Out);
    assert_eq!(detail.outlook, "becomes active when this no longer holds: taint node.kubernetes.io/out-of-service");
    assert_eq!(detail.history.len(), 2);
    eventually(seconds(10), || running.status().is_in_sync(), || "not in sync".into()).await;
    let detail: NodeDetail = api.read("/api/v1/nodes/w2").await;
    assert_eq!(detail.load_balancers[0].live, Some(true));

    world.cluster.delete("w1");
    eventually(seconds(10), || running.status().nodes.len() == 1, || "w1 is still listed".into()).await;
    let detail: NodeDetail = api.read("/api/v1/nodes/w1").await;
    assert!(detail.node.is_none() && detail.history.len() == 2, "the history knows it");
    assert!(!running.metrics().contains("node=\"w1\""), "its series has left with it");

    let all: Vec<HistoryRow> = api.read("/api/v1/history").await;
    assert_eq!(all.len(), 4, "an election, two joined, one left");
    let of_w2: Vec<HistoryRow> = api.read("/api/v1/history?node=w2&limit=5").await;
    assert_eq!(of_w2.len(), 1);
    for (path, code) in [
        ("/api/v1/nodes/never", 404),
        ("/api/v1/nodes/NO", 400),
        ("/nothing", 404),
        ("/api/v1/history?limit=x", 400),
        ("/api/v1/history?colour=red", 400),
    ] {
        let (status, body) = api.get(path).await;
        assert_eq!(status, code, "{path}: {body}");
        let error: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(error["error"].as_str().is_some_and(|e| !e.is_empty()), "{path}: {body}");
    }
    let (_, metrics) = api.get("/metrics").await;
    for sample in [
        "tidegate_nodes{state=\"active\"} 1",
        "tidegate_node_eligible{node=\"w2\",rule=\"eligible\"} 1",
        "tidegate_lb_in_sync{lb=\"lb-1\"} 1",
        "tidegate_lb_revision_lag{lb=\"lb-1\"} 0",
        "tidegate_leader 1",
        "tidegate_term 1",
        "tidegate_frozen 0",
        "tidegate_guard_holding{guard=\"never-empty\"} 0",
    ] {
        assert!(metrics.lines().any(|l| l.trim_end_matches(".0") == sample), "no {sample} in\n{metrics}");
    }
    for name in ["event_to_live_seconds", "watch_staleness_seconds", "resync_seconds", "store_write_seconds"] {
        assert!(metrics.contains(&format!("tidegate_{name}")), "no {name}");
    }
    api.shutdown.cancel();
    api.handle.await.unwrap();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn before_the_store_answers_it_says_why_not() {
    let world = World::new(vec![worker("w1", "10.0.0.1")]);
    world.store.inner().fault = Some(Fault::Refuses);
    let running = world.start();
    let api = Served::new(&running).await;
    let says = || running.api.problem().is_some_and(|p| p.contains("injected"));
    eventually(seconds(5), says, || format!("{:?}", running.api.problem())).await;
    let (status, body) = api.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("the store cannot be opened"), "{body}");
    let (status, body) = api.get("/api/v1/status").await;
    assert_eq!(status, 503);
    assert!(body.contains("\"error\":\"not ready: the store cannot be opened"), "{body}");
    assert_eq!(api.get("/healthz").await.0, 200);
    running.stop().await.unwrap();
}
