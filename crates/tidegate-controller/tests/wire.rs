//! What goes over the wire, in real time on the loopback: the webhook client against a server that
//! verifies as an agent does, the Kubernetes source against an API server that fails on demand, and
//! the HTTP API.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test fails by panicking, and counts are exact"
)]

#[path = "simulated/agent.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod agent;
#[path = "wire/api.rs"]
mod api;
#[path = "simulated/cluster.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod cluster;
#[path = "wire/kube_follow.rs"]
mod kube_follow;
#[path = "wire/kube_server.rs"]
mod kube_server;
#[path = "wire/kube_source.rs"]
mod kube_source;
#[path = "simulated/pods.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod pods;
#[path = "wire/publisher.rs"]
mod publisher;
#[path = "simulated/replica.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod replica;
#[path = "wire/sqlite.rs"]
mod sqlite;
#[path = "simulated/store.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod store;
#[path = "wire/tls.rs"]
mod tls;
#[path = "simulated/world.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod world;
