//! What is known of one load balancer.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_core::ids::LoadBalancerName;
use tidegate_core::protocol::{AgentStatus, Live};
use tidegate_core::status::{BackendStatus, LoadBalancerError, LoadBalancerStatus};
use tokio::time::Instant;

/// One load balancer, as its delivery last saw it.
#[derive(Clone, Debug)]
pub(crate) struct Balancer {
    /// Its configured name.
    pub(crate) name: LoadBalancerName,
    /// Its own words.
    pub(crate) said: Option<Arc<AgentStatus>>,
    /// What it serves, by the latest word of it.
    pub(crate) live: Option<Live>,
    /// When it last answered.
    pub(crate) last_seen: Option<Timestamp>,
    /// The same by the monotonic clock, which nobody sets.
    pub(crate) heard: Option<Instant>,
    /// Why its status cannot be read.
    pub(crate) unreachable: Option<LoadBalancerError>,
    /// Why the latest push did not make the desired state live.
    pub(crate) push_failed: Option<LoadBalancerError>,
}

impl Balancer {
    pub(crate) fn new(name: LoadBalancerName) -> Self {
        Self { name, said: None, live: None, last_seen: None, heard: None, unreachable: None, push_failed: None }
    }

    /// Notes that it answered.
    pub(crate) fn seen(&mut self, now: Timestamp) {
        (self.last_seen, self.heard) = (Some(now), Some(Instant::now()));
    }

    /// Its part of the cluster's status.
    pub(crate) fn status(&self, desired: Option<Live>) -> LoadBalancerStatus {
        let said = self.said.as_deref();
        LoadBalancerStatus {
            name: self.name.clone(),
            engine: said.map(|s| s.engine.clone()),
            health: said.map(|s| s.health.clone()),
            live: self.live,
            in_sync: desired.is_some() && self.live == desired,
            last_seen: self.last_seen,
            last_error: self.error(desired),
            backends: said.map(backends).unwrap_or_default(),
            reloads: said.map_or(0, |s| s.reloads),
            reload_budget: said.and_then(|s| s.reload_budget),
            old_generations: said.map_or(0, |s| s.old_generations),
            drift: said.and_then(|s| s.drift.clone()),
            probes: said.and_then(|s| s.probes.clone()),
        }
    }

    /// The failure that explains most: no answer at all, then the latest push, then its own.
    fn error(&self, desired: Option<Live>) -> Option<LoadBalancerError> {
        let own = || self.said.as_deref().and_then(|s| s.last_error.as_ref()).map(LoadBalancerError::from);
        let push_failed = self.push_failed.clone().filter(|_| desired.is_none() || self.live != desired);
        self.unreachable.clone().or(push_failed).or_else(own)
    }
}

fn backends(said: &AgentStatus) -> Vec<BackendStatus> {
    let one = |b: &tidegate_core::protocol::LiveBackend| BackendStatus {
        listener: b.listener.clone(),
        node: b.node.clone(),
        address: b.address,
        draining: b.draining,
        connections: b.connections,
        set_aside: b.set_aside.clone(),
        probe: b.probe.clone(),
    };
    said.backends.iter().map(one).collect()
}
