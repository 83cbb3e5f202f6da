//! Every decision that Tidegate makes, as pure functions.
//!
//! Nothing here reads a clock, a file, a socket or the environment: `now` is an argument, and each
//! decision can be tested without a cluster. `clippy.toml` beside this crate enforces it.
//!
//! The path of a decision: a [`view::ClusterView`] of observed nodes -> [`plan::plan`] (which asks
//! [`eligibility`] about each node and [`guard`] about the whole) -> [`log::LogEntry`] (what was
//! decided) -> [`membership::Membership`] -> [`desired::DesiredState`] (what every load balancer
//! should serve) -> [`webhook`] and [`protocol`] (how it reaches the agents).
#![warn(missing_docs)]

pub mod backoff;
pub mod carriage;
pub mod class;
pub mod departure;
pub mod desired;
pub mod eligibility;
pub mod engine;
pub mod event;
pub mod finalizer;
pub mod follow;
pub mod guard;
pub mod hash;
pub mod ids;
pub mod lease;
pub mod ledger;
pub mod log;
pub mod membership;
mod millis;
pub mod mutant;
pub mod node;
pub mod order;
pub mod pacing;
pub mod plan;
pub mod policy;
pub mod position;
pub mod probe;
pub mod protocol;
pub mod selector;
pub mod status;
pub mod step;
pub mod time;
pub mod view;
pub mod webhook;
pub mod zones;
