//! Gauges that are read from the status at each scrape.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use tidegate_core::eligibility::Rule;
use tidegate_core::guard::Guard;
use tidegate_core::log::Phase;
use tidegate_core::probe::Verdict;
use tidegate_core::status::{ClusterStatus, LoadBalancerStatus};
use tidegate_core::time::elapsed;

use crate::clock::Clock;
use crate::status::Board;

/// Reads the board at each scrape.
pub(crate) struct StatusCollector {
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for StatusCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusCollector").finish_non_exhaustive()
    }
}

type Label<'a> = (&'static str, &'a str);

impl StatusCollector {
    pub(crate) fn new(board: Arc<Board>, clock: Arc<dyn Clock>) -> Self {
        Self { board, clock }
    }
}

impl Collector for StatusCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let status = self.board.status();
        let leads = status.as_ref().is_some_and(|s| s.leader.is_self);
        single(&mut encoder, "leader", "1 when this process decides", f64::from(u8::from(leads)))?;
        // Before the first status nothing is taken out either.
        let frozen = f64::from(u8::from(status.as_ref().is_none_or(|s| s.frozen.is_some())));
        single(&mut encoder, "frozen", "1 while nothing is taken out because the view or the store fails", frozen)?;
        // Before the first LIST it is infinite, so that an alert on a limit fires.
        let age = self.board.picture().and_then(|p| p.last_list).map_or(f64::INFINITY, |at| at.elapsed().as_secs_f64());
        single(&mut encoder, "watch_staleness_seconds", "Age of the last complete LIST", age)?;
        let Some(status) = status else { return Ok(()) };
        single(&mut encoder, "term", "The fencing token of the present leadership", number(status.leader.term.0))?;
        nodes(&mut encoder, &status)?;
        guards(&mut encoder, &status)?;
        follows(&mut encoder, &status)?;
        probes(&mut encoder, &status)?;
        balancers(&mut encoder, &status, self.clock.now())
    }
}

fn nodes(encoder: &mut DescriptorEncoder<'_>, status: &ClusterStatus) -> Result<(), Error> {
    let mut family = gauge(encoder, "nodes", "Nodes by state")?;
    for phase in [Phase::Active, Phase::Draining, Phase::Out] {
        let count = status.nodes.iter().filter(|n| n.state == phase).count();
        sample(&mut family, [("state", phase.as_str())], number(count as u64))?;
    }
    let mut family = gauge(encoder, "node_eligible", "1 when the rule that speaks now lets the node serve")?;
    for node in &status.nodes {
        let eligible = f64::from(u8::from(node.rule == Rule::Eligible));
        sample(&mut family, [("node", node.name.as_str()), ("rule", node.rule.name())], eligible)?;
    }
    Ok(())
}

fn guards(encoder: &mut DescriptorEncoder<'_>, status: &ClusterStatus) -> Result<(), Error> {
    let mut family = gauge(encoder, "guard_holding", "1 while a guard holds something back")?;
    for guard in Guard::ALL {
        let holding = status.guards.iter().any(|g| g.guard == guard);
        sample(&mut family, [("guard", guard.name())], f64::from(u8::from(holding)))?;
    }
    Ok(())
}

fn follows(encoder: &mut DescriptorEncoder<'_>, status: &ClusterStatus) -> Result<(), Error> {
    let mut family = gauge(encoder, "node_apart", "1 while an active node does not carry a listener, by rule")?;
    for node in status.nodes.iter().filter(|node| node.state == Phase::Active) {
        for at in node.listeners.iter().filter(|at| at.held_by.is_none()) {
            let labels = [("node", node.name.as_str()), ("listener", at.listener.as_str()), ("rule", at.rule.name())];
            sample(&mut family, labels, 1.0)?;
        }
    }
    let mut family = gauge(encoder, "follow_ready_nodes", "Nodes on which what listeners follow is Ready")?;
    for follow in &status.follows {
        sample(&mut family, [("follow", follow.follow.as_str())], number(follow.ready_nodes as u64))?;
    }
    let mut family = gauge(encoder, "follow_trouble", "1 while what listeners follow cannot be read, or is too old")?;
    for follow in &status.follows {
        let trouble = f64::from(u8::from(follow.problem.is_some()));
        sample(&mut family, [("follow", follow.follow.as_str())], trouble)?;
    }
    Ok(())
}

fn probes(encoder: &mut DescriptorEncoder<'_>, status: &ClusterStatus) -> Result<(), Error> {
    let mut family = gauge(encoder, "probe_up", "1 when a load balancer's probes find no listener of the node down")?;
    for lb in &status.load_balancers {
        let mut nodes: BTreeMap<&str, bool> = BTreeMap::new();
        for backend in &lb.backends {
            let Some(probe) = &backend.probe else { continue };
            *nodes.entry(backend.node.as_str()).or_insert(true) &= probe.verdict != Verdict::Down;
        }
        for (node, up) in nodes {
            sample(&mut family, [("lb", lb.name.as_str()), ("node", node)], f64::from(u8::from(up)))?;
        }
    }
    let mut family =
        gauge(encoder, "probe_holding", "Nodes that a load balancer serves although they do not answer it, by guard")?;
    for lb in &status.load_balancers {
        let holds = lb.probes.as_ref().map(|probes| probes.holds.as_slice()).unwrap_or_default();
        for guard in Guard::ALL {
            let held: usize = holds.iter().filter(|hold| hold.guard == guard).map(|hold| hold.nodes.len()).sum();
            sample(&mut family, [("lb", lb.name.as_str()), ("guard", guard.name())], number(held as u64))?;
        }
    }
    let mut family = gauge(encoder, "probe_sick", "1 while a load balancer cannot ask its nodes")?;
    for lb in &status.load_balancers {
        let sick = lb.probes.as_ref().is_some_and(|probes| probes.sick.is_some());
        sample(&mut family, [("lb", lb.name.as_str())], f64::from(u8::from(sick)))?;
    }
    Ok(())
}

fn balancers(encoder: &mut DescriptorEncoder<'_>, status: &ClusterStatus, now: Timestamp) -> Result<(), Error> {
    type Value = fn(&LoadBalancerStatus, &ClusterStatus, Timestamp) -> Option<f64>;
    let gauges: [(&str, &str, Value); 3] = [
        ("lb_in_sync", "1 when the load balancer serves what is desired", |lb, _, _| {
            Some(f64::from(u8::from(lb.in_sync)))
        }),
        ("lb_revision_lag", "Revisions that the load balancer is behind", |lb, status, _| {
            let desired = status.desired?.position.revision.0;
            Some(number(desired.saturating_sub(lb.live.map_or(0, |live| live.position.revision.0))))
        }),
        ("lb_last_ack_age_seconds", "Since the load balancer last answered", |lb, _, now| {
            Some(elapsed(lb.last_seen?, now).as_secs_f64())
        }),
    ];
    for (name, help, value) in gauges {
        let mut family = gauge(encoder, name, help)?;
        for lb in &status.load_balancers {
            if let Some(value) = value(lb, status, now) {
                sample(&mut family, [("lb", lb.name.as_str())], value)?;
            }
        }
    }
    Ok(())
}

fn gauge<'s>(encoder: &'s mut DescriptorEncoder<'_>, name: &'s str, help: &str) -> Result<MetricEncoder<'s>, Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), Error> {
    gauge(encoder, name, help)?.encode_gauge(&value)
}

fn sample<const N: usize>(family: &mut MetricEncoder<'_>, labels: [Label<'_>; N], value: f64) -> Result<(), Error> {
    family.encode_family(&labels)?.encode_gauge(&value)
}

/// Gauges are doubles on the wire: exact up to 2^53, which no revision reaches.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
const fn number(value: u64) -> f64 {
    value as f64
}
