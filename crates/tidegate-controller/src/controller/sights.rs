//! What the load balancers have said, in the words of [`tidegate_core::departure`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::departure::Sight;
use tidegate_core::probe::Verdict;
use tidegate_core::protocol::{AgentStatus, LiveBackend};

use tidegate_core::time::before;

use crate::status::{Balancer, Board};

/// Every load balancer, as far as is known, at `now`. How long ago one answered is measured by the monotonic clock: a
/// clock that is set ahead silences nobody.
pub(super) fn sights(board: &Board, now: Timestamp) -> Vec<Sight> {
    board.balancers().map(|balancer| sight(&balancer, now)).collect()
}

/// An answer that is older says nothing of what a node answers now.
const RECENT: Duration = Duration::from_secs(15);

/// Whether each address answers, as far as it is asked: it does where no listener of one load balancer finds it down.
pub(super) fn answers(board: &Board) -> BTreeMap<IpAddr, bool> {
    let mut answers = BTreeMap::new();
    for balancer in board.balancers() {
        let recent = balancer.heard.is_some_and(|heard| heard.elapsed() < RECENT);
        let Some(said) = balancer.said.as_deref().filter(|_| recent) else { continue };
        let mut here: BTreeMap<IpAddr, bool> = BTreeMap::new();
        for LiveBackend { address, probe, .. } in &said.backends {
            if let Some(probe) = probe {
                *here.entry(*address).or_insert(true) &= probe.verdict != Verdict::Down;
            }
        }
        for (address, up) in here {
            *answers.entry(address).or_insert(false) |= up;
        }
    }
    answers
}

fn sight(balancer: &Balancer, now: Timestamp) -> Sight {
    let said = balancer.said.as_deref();
    Sight {
        name: balancer.name.clone(),
        last_seen: balancer.heard.map(|heard| before(now, heard.elapsed())),
        live: balancer.live.map(|live| live.position),
        // Of one and the same answer: what was counted was counted while that was live.
        counted_at: said.and_then(|said| said.live).map(|live| live.position),
        connections: said.map(connections).unwrap_or_default(),
    }
}

/// Counts of several listeners add up. An address that one of them has not counted is not counted at all.
fn connections(said: &AgentStatus) -> BTreeMap<IpAddr, u64> {
    let mut counted: BTreeMap<IpAddr, Option<u64>> = BTreeMap::new();
    for LiveBackend { address, connections, .. } in &said.backends {
        let sum = counted.entry(*address).or_insert(Some(0));
        *sum = sum.zip(*connections).map(|(sum, more)| sum.saturating_add(more));
    }
    counted.into_iter().filter_map(|(address, count)| Some((address, count?))).collect()
}

#[cfg(test)]
mod tests {
    use tidegate_core::ids::{ListenerName, LoadBalancerName, NodeName};
    use tidegate_core::protocol::EngineHealth;

    use super::*;

    fn backend(listener: &str, address: &str, connections: Option<u64>) -> LiveBackend {
        let (listener, node) = (ListenerName::parse(listener).unwrap(), NodeName::parse("w1").unwrap());
        let address = address.parse().unwrap();
        LiveBackend { listener, node, address, draining: true, connections, set_aside: None, probe: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_ahead_makes_no_answer_older() {
        let mut balancer = Balancer::new(LoadBalancerName::parse("lb-1").unwrap());
        balancer.seen(Timestamp::from_second(1_800_000_000).unwrap());
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        let an_hour_ahead = Timestamp::from_second(1_800_003_610).unwrap();
        let seen = sight(&balancer, an_hour_ahead).last_seen.unwrap();
        assert_eq!(an_hour_ahead.duration_since(seen).as_secs(), 10);
    }

    #[test]
    fn listeners_add_up_and_one_that_cannot_tell_spoils_the_sum() {
        let said = AgentStatus {
            version: String::new(),
            engine: String::new(),
            engine_version: None,
            health: EngineHealth::Up,
            live: None,
            pending: None,
            last_error: None,
            backends: vec![
                backend("http", "10.0.0.1", Some(2)),
                backend("https", "10.0.0.1", Some(3)),
                backend("http", "10.0.0.2", Some(0)),
                backend("https", "10.0.0.2", None),
                backend("http", "10.0.0.3", None),
                backend("https", "10.0.0.3", Some(0)),
            ],
            reloads: 0,
            old_generations: 0,
            drift: None,
            probes: None,
            reload_budget: None,
        };
        assert_eq!(connections(&said), [("10.0.0.1".parse().unwrap(), 5)].into());
    }
}
