//! Nodes that come, go and fail as a real API server and the real node lifecycle controller tell it, behind a real load
//! balancer: what the rules and guards of `docs/eligibility.md` make of it, and what clients notice.

mod flapping;
mod frozen;
mod mass;
mod selector;
mod signals;
mod support;
