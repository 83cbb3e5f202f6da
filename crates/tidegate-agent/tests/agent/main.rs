//! The agent against real nginx, and against an engine that fails on purpose.
//!
//! nginx runs on loopback addresses of the test's own, in temporary directories. `disk` and `conformance::faults` need root (they
//! mount small filesystems), as nftables does, and fail without.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_for_each,
    reason = "a test that stops is a test that fails"
)]

mod boot;
mod conformance;
mod connections;
mod counts;
mod disk;
mod engine_killed;
mod envoy;
mod faults;
mod faulty;
mod fencing;
mod goldens;
mod haproxy;
mod log_limit;
mod mailbox;
mod mount;
mod newest;
mod nftables;
mod ownership;
mod pipeline;
mod probes;
mod rig;
mod states;
mod succession;
mod sweep;
mod traffic;
mod webhook;
mod zones;
