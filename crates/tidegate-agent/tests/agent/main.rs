//! The agent against real nginx, and against an engine that fails on purpose.
//!
//! nginx runs on loopback addresses of the test's own, in temporary directories; no root is needed except
//! where a test says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that stops is a test that fails")]

mod faults;
mod pipeline;
mod rig;
mod states;
mod traffic;
