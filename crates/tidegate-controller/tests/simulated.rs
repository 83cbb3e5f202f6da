//! A whole controller in virtual time, between a fake cluster, a fake store and fake load balancers
//! that lose, repeat, delay, lie and fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test fails by panicking, and counts are exact"
)]

#[path = "simulated/agent.rs"]
mod agent;
#[path = "simulated/cluster.rs"]
mod cluster;
#[path = "simulated/delivery.rs"]
mod delivery;
#[path = "simulated/drains.rs"]
mod drains;
#[path = "simulated/election.rs"]
mod election;
#[path = "simulated/finalizer.rs"]
mod finalizer;
#[path = "simulated/follow.rs"]
mod follow;
#[path = "simulated/frozen.rs"]
mod frozen;
#[path = "simulated/identities.rs"]
mod identities;
#[path = "simulated/lies.rs"]
mod lies;
#[path = "simulated/pods.rs"]
mod pods;
#[path = "simulated/quiet.rs"]
mod quiet;
#[path = "simulated/replica.rs"]
mod replica;
#[path = "simulated/restart.rs"]
mod restart;
#[path = "simulated/store.rs"]
mod store;
#[path = "simulated/terms.rs"]
mod terms;
#[path = "simulated/world.rs"]
mod world;
