//! From the event to the moment at which every load balancer has verified what follows from it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidegate_core::ids::LoadBalancerName;
use tidegate_core::position::Position;
use tokio::time::Instant;

/// While a load balancer is away nothing becomes live everywhere: the oldest are forgotten.
const LIMIT: usize = 1024;

/// Commits on their way to the load balancers.
#[derive(Debug, Default)]
pub(super) struct Latency {
    under_way: VecDeque<(Position, Instant)>,
    live: BTreeMap<LoadBalancerName, Position>,
    balancers: usize,
}

impl Latency {
    /// For a controller that drives this many load balancers.
    pub(super) fn new(balancers: usize) -> Self {
        Self { balancers, ..Self::default() }
    }

    /// An event received at `event` led to this commit.
    pub(super) fn committed(&mut self, position: Position, event: Instant) {
        if self.balancers == 0 {
            return;
        }
        self.under_way.push_back((position, event));
        if self.under_way.len() > LIMIT {
            self.under_way.pop_front();
        }
    }

    /// Notes what is live somewhere; answers how long what is now live everywhere has taken.
    pub(super) fn live(&mut self, balancer: LoadBalancerName, position: Position, at: Instant) -> Vec<Duration> {
        self.live.insert(balancer, position);
        let mut took = Vec::new();
        let everywhere = self.live.values().min().copied().filter(|_| self.live.len() == self.balancers);
        while let Some((position, event)) = self.under_way.front().copied() {
            if everywhere.is_none_or(|reached| reached < position) {
                break;
            }
            self.under_way.pop_front();
            took.push(at.saturating_duration_since(event));
        }
        took
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::position::{Revision, Term};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_slowest_load_balancer_counts() {
        let at = |revision| Position { term: Term(1), revision: Revision(revision) };
        let name = |text: &str| LoadBalancerName::parse(text).unwrap();
        let mut latency = Latency::new(2);
        let event = Instant::now();
        latency.committed(at(2), event);
        latency.committed(at(4), event);
        let seconds = Duration::from_secs;
        assert_eq!(latency.live(name("a"), at(4), event + seconds(1)), Vec::<Duration>::new());
        assert_eq!(latency.live(name("b"), at(3), event + seconds(2)), [seconds(2)]);
        assert_eq!(latency.live(name("b"), at(4), event + seconds(5)), [seconds(5)]);
        assert_eq!(latency.live(name("b"), at(5), event + seconds(6)), Vec::<Duration>::new());
    }
}
