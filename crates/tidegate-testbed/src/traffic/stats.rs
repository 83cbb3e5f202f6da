//! The numbers of a traffic, and their difference between two moments.

#![expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Histogram;
use crate::http::Failure;

/// One class of requests: on new connections, or on reused ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub ok: u64,
    pub failed: BTreeMap<Failure, u64>,
}

impl Counts {
    pub fn failed(&self) -> u64 {
        self.failed.values().sum()
    }

    fn subtract(&mut self, earlier: &Self) {
        self.sent = self.sent.saturating_sub(earlier.sent);
        self.ok = self.ok.saturating_sub(earlier.ok);
        subtract_maps(&mut self.failed, &earlier.failed);
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub new: Counts,
    pub keepalive: Counts,
    /// Right answers by the node that gave them.
    pub by_node: BTreeMap<String, u64>,
    /// Idle keep-alive connections that the server closed, or announced to close.
    pub idle_closed: u64,
    /// Requests sent again because a reused connection ended in order before it answered.
    pub retried_closed: u64,
    /// The same, but it ended with a reset.
    pub retried_reset: u64,
    /// Requests not sent because the client was the bottleneck: too many in flight, or held up itself.
    pub skipped: u64,
    pub latency: Histogram,
    pub elapsed: Duration,
}

impl Snapshot {
    pub fn sent(&self) -> u64 {
        self.new.sent + self.keepalive.sent
    }

    pub fn ok(&self) -> u64 {
        self.new.ok + self.keepalive.ok
    }

    pub fn failed(&self) -> u64 {
        self.new.failed() + self.keepalive.failed()
    }

    /// Failures of one kind, over both classes.
    pub fn failed_as(&self, failure: Failure) -> u64 {
        let of = |counts: &Counts| counts.failed.get(&failure).copied().unwrap_or_default();
        of(&self.new) + of(&self.keepalive)
    }

    /// Right answers per second.
    pub fn rate(&self) -> f64 {
        self.ok() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub fn p50(&self) -> Duration {
        self.latency.quantile(0.5)
    }

    pub fn p99(&self) -> Duration {
        self.latency.quantile(0.99)
    }

    /// What has happened since `earlier`, a snapshot of the same traffic.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut step = self.clone();
        step.new.subtract(&earlier.new);
        step.keepalive.subtract(&earlier.keepalive);
        subtract_maps(&mut step.by_node, &earlier.by_node);
        step.idle_closed = step.idle_closed.saturating_sub(earlier.idle_closed);
        step.retried_closed = step.retried_closed.saturating_sub(earlier.retried_closed);
        step.retried_reset = step.retried_reset.saturating_sub(earlier.retried_reset);
        step.skipped = step.skipped.saturating_sub(earlier.skipped);
        step.latency.subtract(&earlier.latency);
        step.elapsed = step.elapsed.saturating_sub(earlier.elapsed);
        step
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent, {} ok, {} failed", self.sent(), self.ok(), self.failed())?;
        for (class, counts) in [("new", &self.new), ("keep-alive", &self.keepalive)] {
            for (failure, count) in &counts.failed {
                write!(f, ", {count} {class} {failure:?}")?;
            }
        }
        let retried = self.retried_closed + self.retried_reset;
        write!(f, "; {} idle closed, {retried} retried", self.idle_closed)?;
        write!(f, "; p50 {:.1?}, p99 {:.1?}; ", self.p50(), self.p99())?;
        let nodes: Vec<String> = self.by_node.iter().map(|(node, count)| format!("{node} {count}")).collect();
        f.write_str(&nodes.join(", "))
    }
}

fn subtract_maps<K: Ord>(map: &mut BTreeMap<K, u64>, earlier: &BTreeMap<K, u64>) {
    for (key, before) in earlier {
        if let Some(count) = map.get_mut(key) {
            *count = count.saturating_sub(*before);
        }
    }
    map.retain(|_, count| *count > 0);
}
