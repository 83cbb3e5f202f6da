//! The least of a Kubernetes API server: Nodes, and faults on demand.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use serde_json::{Value, json};
use tidegate_controller::KubeNodeSource;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How it answers a watch that asks for the initial set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    Works,
    /// As with an etcd before 3.4.31 and 3.5.13.
    Answers500,
    /// The set never ends.
    NeverEnds,
}

pub struct Inner {
    nodes: BTreeMap<String, Value>,
    version: u64,
    watchers: Vec<mpsc::UnboundedSender<String>>,
    pub streaming: Streaming,
    /// Each watch ends as soon as it has begun.
    pub ends_watches: bool,
    /// Watches are answered with this.
    pub refuses_watches: Option<u16>,
    /// LIST and GET answer this.
    pub answers: Option<u16>,
    /// LIST and GET never answer.
    pub hangs: bool,
    pub lists: Vec<HashMap<String, String>>,
    pub watches: Vec<HashMap<String, String>>,
}

#[derive(Clone)]
pub struct KubeServer {
    inner: Arc<Mutex<Inner>>,
    pub url: String,
}

pub fn node(name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": format!("u-{name}"), "labels": {"role": "worker", "other": "x"}},
        "spec": {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "images": [{"names": ["a"], "sizeBytes": 1}],
        },
    })
}

/// A pod of the ingress on this node.
pub fn pod(node: &str, ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("p-{node}"), "namespace": "ingress", "labels": {"app": "ingress"}},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
    })
}

impl KubeServer {
    pub async fn start(streaming: Streaming) -> Self {
        let inner = Inner {
            nodes: BTreeMap::new(),
            version: 10,
            watchers: Vec::new(),
            streaming,
            ends_watches: false,
            refuses_watches: None,
            answers: None,
            hangs: false,
            lists: Vec::new(),
            watches: Vec::new(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { inner: Arc::new(Mutex::new(inner)), url };
        let router = Router::new()
            .route("/api/v1/nodes", get(list_or_watch))
            .route("/api/v1/nodes/{name}", get(one))
            // Pods are kept beside the nodes: a test has the ones or the others.
            .route("/api/v1/namespaces/ingress/pods", get(list_or_watch))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    pub fn client(&self) -> kube::Client {
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut config = kube::Config::new(self.url.parse().unwrap());
        KubeNodeSource::tune(&mut config);
        kube::Client::try_from(config).unwrap()
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn apply(&self, mut node: Value) {
        let mut inner = self.inner();
        inner.version += 1;
        node["metadata"]["resourceVersion"] = json!(inner.version.to_string());
        let name = node["metadata"]["name"].as_str().unwrap().to_owned();
        let known = inner.nodes.insert(name, node.clone()).is_some();
        tell(&mut inner, if known { "MODIFIED" } else { "ADDED" }, &node);
    }

    pub fn delete(&self, name: &str) {
        let mut inner = self.inner();
        inner.version += 1;
        let mut node = inner.nodes.remove(name).unwrap();
        node["metadata"]["resourceVersion"] = json!(inner.version.to_string());
        tell(&mut inner, "DELETED", &node);
    }

    /// What a client is told whose resourceVersion has been forgotten.
    pub fn say_gone(&self) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410});
        tell(&mut self.inner(), "ERROR", &status);
    }

    /// Every connection of a watch ends.
    pub fn cut_watches(&self) {
        self.inner().watchers.clear();
    }
}

fn tell(inner: &mut Inner, kind: &str, object: &Value) {
    let line = event(kind, object);
    inner.watchers.retain(|w| w.send(line.clone()).is_ok());
}

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn failure(code: u16, reason: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "injected", "reason": reason, "code": code});
    (StatusCode::from_u16(code).unwrap(), axum::Json(status)).into_response()
}

async fn list_or_watch(State(server): State<KubeServer>, Query(query): Query<HashMap<String, String>>) -> Response {
    if query.get("watch").is_some_and(|w| w == "true") { watch(&server, query) } else { list(&server, query).await }
}

async fn list(server: &KubeServer, query: HashMap<String, String>) -> Response {
    let hangs = server.inner().hangs;
    let answers = server.inner().answers;
    if hangs {
        std::future::pending::<()>().await;
    }
    if let Some(code) = answers {
        return failure(code, "Injected");
    }
    let mut inner = server.inner();
    let limit: usize = query.get("limit").map_or(usize::MAX, |l| l.parse().unwrap());
    let start: usize = query.get("continue").map_or(0, |c| c.parse().unwrap());
    let items: Vec<Value> = inner.nodes.values().skip(start).take(limit).cloned().collect();
    let end = start + items.len();
    let token = if end < inner.nodes.len() { end.to_string() } else { String::new() };
    inner.lists.push(query);
    let metadata = json!({"resourceVersion": inner.version.to_string(), "continue": token});
    axum::Json(json!({"kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": items})).into_response()
}

fn watch(server: &KubeServer, query: HashMap<String, String>) -> Response {
    let mut inner = server.inner();
    let initial = query.get("sendInitialEvents").is_some_and(|s| s == "true");
    inner.watches.push(query);
    if let Some(code) = inner.refuses_watches {
        return failure(code, "Injected");
    }
    if initial && inner.streaming == Streaming::Answers500 {
        return failure(500, "InternalError");
    }
    let (sender, events) = mpsc::unbounded_channel();
    if initial {
        for node in inner.nodes.values() {
            sender.send(event("ADDED", node)).unwrap();
        }
        if inner.streaming == Streaming::Works {
            let annotations = json!({"k8s.io/initial-events-end": "true"});
            let metadata = json!({"resourceVersion": inner.version.to_string(), "annotations": annotations});
            let bookmark = json!({"kind": "Node", "apiVersion": "v1", "metadata": metadata});
            sender.send(event("BOOKMARK", &bookmark)).unwrap();
        }
    }
    if !inner.ends_watches {
        inner.watchers.push(sender);
    }
    let lines = stream::unfold(events, |mut events| async move {
        events.recv().await.map(|line| (Ok::<_, Infallible>(line), events))
    });
    Body::from_stream(lines).into_response()
}

async fn one(State(server): State<KubeServer>, Path(name): Path<String>) -> Response {
    let answers = server.inner().answers;
    let node = server.inner().nodes.get(&name).cloned();
    match (answers, node) {
        (Some(code), _) => failure(code, "Injected"),
        (None, Some(node)) => axum::Json(node).into_response(),
        (None, None) => failure(404, "NotFound"),
    }
}
