//! The agent against real nginx, and against an engine that fails on purpose.
//!
//! nginx runs on loopback addresses of the test's own, in temporary directories; no root is needed except
//! where a test says so.

mod faults;
mod pipeline;
mod rig;
mod states;
mod traffic;
