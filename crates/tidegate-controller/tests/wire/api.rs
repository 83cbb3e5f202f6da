//! The HTTP API of a running controller.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_controller::{ApiToken, serve_api};
use tidegate_core::log::Phase;
use tidegate_core::status::{ClusterStatus, HistoryRow, NodeDetail};
use tokio_util::sync::CancellationToken;

use crate::replica::FakeLease;
use crate::store::Fault;
use crate::world::{Running, World, eventually, seconds, settings, worker, workers};

struct Served {
    base: String,
    client: reqwest::Client,
    shutdown: CancellationToken,
    handle: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn new(running: &Running) -> Self {
        Self::with_token(running, None).await
    }

    async fn with_token(running: &Running, token: Option<&str>) -> Self {
        let registry = running.registry.clone();
        let text = move || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let shutdown = CancellationToken::new();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = serve_api(
            running.api.clone().with_token(token.and_then(ApiToken::new)),
            listen,
            Arc::new(text),
            shutdown.clone(),
        )
        .await
        .unwrap();
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base: format!("http://{}", server.local_addr), client, shutdown, handle: server.handle }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The status and the JSON of the answer to an order.
    async fn order(&self, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
        let mut request = self.client.post(format!("{}/api/v1/nodes/{path}", self.base)).body(body.to_owned());
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
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

#[tokio::test]
async fn after_the_store_was_read_it_names_the_list_that_is_missing() {
    let world = World::new(vec![worker("w1", "10.0.0.1")]);
    world.cluster.state().list_takes = seconds(600);
    let running = world.start();
    let api = Served::new(&running).await;
    let waits = || running.api.problem().is_some_and(|p| p.contains("no complete LIST of the Nodes has come yet"));
    eventually(seconds(5), waits, || format!("{:?}", running.api.problem())).await;
    assert_eq!(api.get("/readyz").await.0, 503);
    running.stop().await.unwrap();

    world.cluster.state().list_takes = seconds(0);
    world.cluster.state().cannot_list = true;
    let running = world.start();
    let api = Served::new(&running).await;
    let fails = || running.api.problem().is_some_and(|p| p.contains("the Nodes cannot be listed: "));
    eventually(seconds(5), fails, || format!("{:?}", running.api.problem())).await;
    world.cluster.state().cannot_list = false;
    eventually(seconds(30), || running.api.problem().is_none(), || format!("{:?}", running.api.problem())).await;
    assert_eq!(api.get("/readyz").await, (200, "ready\n".into()));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn orders_are_taken_from_whoever_shows_the_token_and_shown_with_the_node() {
    const RIGHT: Option<&str> = Some("Bearer s3cret");
    let world = World::new(workers(2));
    let running = world.start();
    let api = Served::with_token(&running, Some("s3cret")).await;
    eventually(seconds(10), || running.api.status().is_some_and(|s| s.is_in_sync()), || "not in sync".into()).await;
    let good = json!({"by": "ann", "why": "new disk"}).to_string();
    let long = json!({"by": "a".repeat(201)}).to_string();
    for (path, token, body, code) in [
        ("w1/drain", None, good.as_str(), 401),
        ("w1/drain", Some("Bearer another"), &good, 401),
        ("w1/drain", Some("Basic s3cret"), &good, 401),
        ("nope/drain", RIGHT, &good, 404),
        ("NO/drain", RIGHT, &good, 400),
        ("w1/drain", RIGHT, "{}", 400),
        ("w1/drain", RIGHT, r#"{"by": " "}"#, 400),
        ("w1/drain", RIGHT, r#"{"by": "ann\u001b"}"#, 400),
        ("w1/drain", RIGHT, r#"{"by": "ann", "node": "w2"}"#, 400),
        ("w1/drain", RIGHT, &long, 400),
    ] {
        let (status, answer) = api.order(path, token, body).await;
        assert_eq!(status, code, "{path} {token:?} {body}: {answer}");
        assert!(!answer["error"].as_str().unwrap().contains("s3cret"), "{answer}");
    }
    assert!(world.store.state().orders.is_empty(), "none of these was followed");
    assert_eq!(api.get("/api/v1/nodes/w1/drain").await.0, 405);

    let (status, reply) = api.order("w1/drain", RIGHT, &good).await;
    assert_eq!((status, &reply["node"], &reply["already"]), (200, &json!("w1"), &Value::Null), "{reply}");
    let ordered = || running.status().nodes.iter().any(|node| node.rule.to_string() == "drained");
    eventually(seconds(10), ordered, || format!("{:?}", running.status())).await;
    let order = api.read::<NodeDetail>("/api/v1/nodes/w1").await.order.unwrap();
    assert_eq!((order.by.as_str(), order.why.as_str()), ("ann", "new disk"));
    assert!(api.read::<NodeDetail>("/api/v1/nodes/w2").await.order.is_none());
    let (status, reply) = api.order("w1/drain", RIGHT, &good).await;
    assert!(status == 200 && reply["already"].as_str().unwrap().contains("by ann"), "{reply}");
    assert_eq!(api.order("w1/undrain", Some("bearer  s3cret"), &good).await.0, 200);
    assert!(world.store.state().orders.is_empty());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_token_nobody_orders_and_a_follower_names_the_leader() {
    let world = World { lease: Some(FakeLease::default()), ..World::new(workers(2)) };
    let leader = world.start_as(settings("one"));
    eventually(seconds(10), || leader.api.status().is_some_and(|s| s.leader.is_self), || "nobody leads".into()).await;
    let follower = world.start_as(settings("two"));
    let knows = || follower.api.status().is_some_and(|s| s.leader.holder == "one");
    eventually(seconds(10), knows, || format!("{:?}", follower.api.status())).await;
    let body = json!({"by": "ann"}).to_string();
    let closed = Served::new(&leader).await;
    let (status, answer) = closed.order("w1/drain", Some("Bearer "), &body).await;
    assert!(status == 403 && answer["error"].as_str().unwrap().contains("api.tokenFile"), "{status} {answer}");
    let open = Served::with_token(&follower, Some("s3cret")).await;
    let (status, answer) = open.order("w1/drain", Some("Bearer s3cret"), &body).await;
    assert_eq!((status, &answer["leader"]), (409, &json!("one")), "{answer}");
    assert!(world.store.state().orders.is_empty());
    follower.stop().await.unwrap();
    leader.stop().await.unwrap();
}
