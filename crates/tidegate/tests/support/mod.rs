//! Statuses as a controller would report them, and a server that answers with them.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate::output::{Screen, Style};
use tidegate_core::status::{ClusterStatus, NodeDetail};
use tidegate_core::time::after;

pub const HASH: &str = "1b2c3d4e5f60718293a4b5c6d7e8f901234567890abcdef01234567890abcdef";

/// 2026-11-24T03:00:00Z: the moment at which everything is looked at.
pub fn now() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

/// So many seconds before it.
pub fn hence(seconds: u64) -> String {
    let start: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
    after(start, Duration::from_secs(27 * 3600 + seconds)).to_string()
}

pub fn ago(seconds: u64) -> String {
    let start: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
    after(start, Duration::from_secs(27 * 3600 - seconds)).to_string()
}

pub fn screen(width: Option<usize>) -> Screen {
    Screen { style: Style::PLAIN, width, now: now() }
}

pub fn node(name: &str, address: &str, [state, rule, reason]: [&str; 3], seconds: u64) -> Value {
    json!({ "name": name, "uid": format!("uid-{name}"), "addresses": [address], "state": state, "rule": rule,
            "reason": reason, "since": ago(seconds) })
}

pub fn load_balancer(name: &str, in_sync: bool) -> Value {
    json!({ "name": name, "engine": "nginx", "health": { "health": "up" },
            "live": { "term": 4, "revision": if in_sync { 128 } else { 126 }, "hash": HASH }, "inSync": in_sync,
            "lastSeen": ago(1), "lastError": null, "backends": [], "reloads": 12, "oldGenerations": 2 })
}

/// Everything as it should be.
pub fn healthy() -> Value {
    json!({
        "cluster": "prod",
        "leader": { "holder": "lb-1/4711", "term": 4, "isSelf": true, "since": ago(11_520) },
        "desired": { "term": 4, "revision": 128, "hash": HASH },
        "frozen": null,
        "nodes": [
            node("worker-1", "10.0.0.11", ["active", "eligible", "Ready since 2026-11-20T08:00:00Z"], 7200),
            node("worker-2", "10.0.0.12", ["active", "eligible", "Ready since 2026-11-20T08:00:00Z"], 7200),
            node("worker-3", "10.0.0.13", ["out", "joining", "Ready for 4s, joins after 10s"], 4),
        ],
        "loadBalancers": [load_balancer("lb-1", true)],
        "guards": [],
        "replicas": [],
        "finalizers": [],
    })
}

/// Everything that can be wrong at three in the morning.
pub fn troubled() -> Value {
    let mut status = healthy();
    let reason =
        "Ready=Unknown since 2026-11-24T02:58:00Z, reason NodeStatusUnknown: Kubelet stopped posting node status";
    let mut held = node("worker-1", "10.0.0.11", ["active", "not-ready", reason], 120);
    held["heldBy"] = json!("never-empty");
    let mut leaving = node("worker-2", "10.0.0.12", ["draining", "deleting", "deletionTimestamp is set"], 12);
    leaving["deadline"] = json!(after(now(), Duration::from_secs(18)).to_string());
    status["nodes"] = json!([held, leaving, node("worker-3", "10.0.0.13", ["out", "joining", "taint x"], 4)]);
    status["frozen"] =
        json!({ "reason": "the last complete LIST of the nodes is 2m old (limit 1m 30s)", "since": ago(30) });
    status["guards"] = json!([{ "guard": "never-empty", "holding": ["worker-1"], "since": ago(120), "reason": "no active node would be left" }]);
    let mut unreachable = load_balancer("lb-2", false);
    unreachable["lastSeen"] = json!(ago(95));
    unreachable["lastError"] = json!({ "at": ago(3), "message": "the agent at https://10.0.0.6:8686 cannot be reached: connection refused; cure: start `tidegate agent` there" });
    let mut never = load_balancer("lb-3", false);
    for key in ["engine", "health", "live", "lastSeen"] {
        never[key] = Value::Null;
    }
    let mut meddled_with = load_balancer("lb-1", true);
    let how = "server http/10-0-0-11_80 is not ready with weight 1";
    meddled_with["drift"] = json!({ "at": ago(42), "how": how, "outcome": "repaired", "times": 3 });
    status["loadBalancers"] = json!([meddled_with, unreachable, never]);
    status
}

/// Three controllers, a drain that an operator asked for, and two deletions that wait for us.
pub fn replicated() -> Value {
    let mut status = healthy();
    let holder = |n: u32| format!("tidegate-6d9c7b9d5-{n}_1_4f2a1{n}");
    let replica =
        |n: u32, leads: bool, seconds: u64| json!({ "holder": holder(n), "isLeader": leads, "lastSeen": ago(seconds) });
    status["leader"] = json!({ "holder": holder(1), "term": 4, "isSelf": false, "since": ago(11_520) });
    status["replicas"] = json!([replica(1, true, 3), replica(2, false, 8), replica(3, false, 95)]);
    let by = "drained by anna@ops-1 at 2026-11-24T02:59:48Z: new disk";
    let mut drained = node("worker-1", "10.0.0.11", ["draining", "drained", by], 12);
    drained["deadline"] = json!(after(now(), Duration::from_secs(18)).to_string());
    let gone = node("worker-2", "10.0.0.12", ["out", "deleting", "deletionTimestamp is set"], 40);
    let late = node("worker-4", "10.0.0.14", ["out", "deleting", "deletionTimestamp is set"], 140);
    let serving = node("worker-3", "10.0.0.13", ["active", "eligible", "Ready since 2026-11-20T08:00:00Z"], 7200);
    status["nodes"] = json!([drained, gone, serving, late]);
    let backend = |connections: Option<u64>| json!({ "listener": "http", "node": "worker-1", "address": "10.0.0.11", "connections": connections });
    let mut balancers = [load_balancer("lb-1", true), load_balancer("lb-2", true), load_balancer("lb-3", true)];
    balancers[0]["backends"] = json!([backend(Some(12)), backend(Some(2))]);
    balancers[1]["backends"] = json!([backend(Some(3))]);
    balancers[2]["backends"] = json!([backend(None)]);
    status["loadBalancers"] = json!(balancers);
    let held = |node: &str, deadline: Timestamp, waits_for: &str| json!({ "node": node, "deadline": deadline.to_string(), "waitsFor": waits_for });
    let overdue: Timestamp = ago(20).parse().unwrap();
    status["finalizers"] = json!([
        held("worker-2", after(now(), Duration::from_secs(80)), "lb-3 to let go of it"),
        held("worker-4", overdue, "the API server"),
    ]);
    status
}

/// Just started on an empty store.
pub fn empty() -> Value {
    let mut status = healthy();
    status["desired"] = Value::Null;
    status["nodes"] = json!([]);
    status["loadBalancers"][0]["inSync"] = json!(false);
    status["loadBalancers"][0]["live"] = Value::Null;
    status["loadBalancers"][0]["health"] = json!({ "health": "idle" });
    status["frozen"] = json!({ "reason": "no complete LIST of the nodes since the start", "since": ago(2) });
    status
}

pub fn history() -> Value {
    json!([
        { "at": ago(12), "term": 4, "revision": 128, "holder": "lb-1/4711", "change": { "node": "worker-2",
            "uid": "uid-worker-2", "from": "active", "to": "draining", "rule": "deleting", "observation": "deletionTimestamp is set" } },
        { "at": ago(7200), "term": 4, "revision": 127, "holder": "lb-1/4711", "change": { "node": "worker-2",
            "uid": "uid-worker-2", "from": "out", "to": "active", "rule": "eligible", "observation": "Ready since 2026-11-20T08:00:00Z" } },
        { "at": ago(11_520), "term": 4, "revision": 126, "holder": "lb-1/4711" },
    ])
}

/// With orders and a repair.
pub fn history_of_orders() -> Value {
    let row = |seconds, revision, note: &str| json!({ "at": ago(seconds), "term": 4, "revision": revision, "holder": "lb-1_4711_4f2a10", "note": note });
    json!([
        row(12, 131, "undrain of worker-2 by anna@ops-1"),
        row(600, 130, "a document of `nodes` was missing: worker-3"),
        row(1200, 129, "drain of worker-2 by anna@ops-1: new disk"),
        history()[2],
    ])
}

pub fn detail() -> Value {
    let status = troubled();
    json!({
        "node": status["nodes"][1],
        "outlook": "removed in 18 s; it stays out for as long as it is being deleted",
        "loadBalancers": [{ "name": "lb-1", "live": false, "position": { "term": 4, "revision": 128 } },
                          { "name": "lb-2", "live": null, "position": null }],
        "history": [history()[0], history()[1]],
    })
}

pub fn absent() -> Value {
    json!({ "node": null, "outlook": "joins like any new node when it is seen again", "loadBalancers": [], "history": [history()[0]] })
}

pub fn as_status(json: Value) -> ClusterStatus {
    serde_json::from_value(json).unwrap()
}

pub fn as_detail(json: Value) -> NodeDetail {
    serde_json::from_value(json).unwrap()
}

/// An API on a free port that answers with this status; ends with the process.
pub fn serve(status: Value) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let node = |name: Path<String>| async move {
        if name.as_str() == "worker-2" { Json(detail()).into_response() } else { unknown(name.as_str()) }
    };
    let router = Router::new()
        .route("/api/v1/status", get(move || async move { Json(status) }))
        .route("/api/v1/nodes/{name}", get(node))
        .route("/api/v1/nodes/{name}/{order}", post(order))
        .route("/api/v1/history", get(|| async { Json(history()) }));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    address
}

/// What the fake API wants to be shown.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Orders as the controller answers them; worker-9 is drained already, worker-8 has another leader.
async fn order(Path((name, order)): Path<(String, String)>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let error = |code: StatusCode, error: &str| (code, Json(json!({ "error": error }))).into_response();
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&format!("Bearer {TOKEN}")) {
        return error(StatusCode::UNAUTHORIZED, "the token is missing or wrong");
    }
    let mut reply = json!({ "node": name, "uid": format!("uid-{name}"), "term": 4, "revision": 129 });
    match name.as_str() {
        "worker-7" => return unknown(&name),
        "worker-8" => {
            return error(
                StatusCode::CONFLICT,
                "this controller does not lead, b_1_2 does; cure: ask the leader, or once more in a moment",
            );
        }
        "worker-9" => {
            reply["already"] = json!(format!("worker-9 is drained by {} since noon", body["by"].as_str().unwrap()));
        }
        _ => assert!(order == "drain" || order == "undrain", "{order}"),
    }
    Json(reply).into_response()
}

fn unknown(name: &str) -> Response {
    let error = format!("no node {name} is observed, a member, or in the history that is kept");
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}
