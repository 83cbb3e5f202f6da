//! What the load balancers' own probes have found, and whom they set aside for their zone.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::ids::NodeName;
use tidegate_core::node::Zone;
use tidegate_core::protocol::BackendProbe;
use tidegate_core::status::LoadBalancerStatus;

use super::names;
use crate::output::{Screen, one_line};

/// A line for each thing that somebody should know.
pub(super) fn trouble(lb: &LoadBalancerStatus, screen: &Screen) -> Vec<String> {
    let mut lines = Vec::new();
    let name = |text: &str| format!("load balancer {}: {text}", lb.name);
    if let Some(sick) = lb.probes.as_ref().and_then(|probes| probes.sick.as_ref()) {
        let line = name(&format!("cannot ask the nodes, {}", screen.ago(sick.since)));
        lines.push(format!("{}: {}; what was known of them stays", screen.style.bad(&line), one_line(&sick.reason)));
    }
    let out = out(lb);
    if !out.is_empty() {
        let nodes: Vec<&NodeName> = out.keys().copied().collect();
        let line = name(&format!("no new connections to {}", names(&nodes)));
        let example = out.values().next().and_then(|probe| probe.trouble.as_deref()).unwrap_or("no answer yet");
        let since = out.values().map(|probe| probe.since).min().map(|since| screen.ago(since)).unwrap_or_default();
        lines.push(format!("{}: its probes fail ({}, {since})", screen.style.busy(&line), one_line(example)));
    }
    for hold in lb.probes.iter().flat_map(|probes| &probes.holds) {
        let line = name(&format!("guard {} keeps {} in {}", hold.guard, names(&hold.nodes), hold.listener));
        lines.push(format!("{}: {}", screen.style.bad(&line), one_line(&hold.reason)));
    }
    lines
}

/// Who gets no new connection there because it stands in another zone: as it is meant to be.
pub(super) fn aside(lb: &LoadBalancerStatus, screen: &Screen) -> Option<String> {
    let aside: BTreeMap<&NodeName, &Zone> =
        lb.backends.iter().filter_map(|b| Some((&b.node, b.set_aside.as_ref()?))).collect();
    if aside.is_empty() {
        return None;
    }
    let nodes: Vec<&NodeName> = aside.keys().copied().collect();
    let zones: BTreeSet<&Zone> = aside.values().copied().collect();
    let (zones, word): (Vec<&Zone>, _) =
        (zones.iter().copied().collect(), if zones.len() == 1 { "zone" } else { "zones" });
    let what = format!(
        "load balancer {}: keeps to its own zone, without {} ({word} {})",
        lb.name,
        names(&nodes),
        names(&zones)
    );
    Some(screen.style.faint(&what))
}

/// Nodes that are out somewhere because they do not answer.
fn out(lb: &LoadBalancerStatus) -> BTreeMap<&NodeName, &BackendProbe> {
    let probes = lb.backends.iter().filter_map(|b| Some((&b.node, b.probe.as_ref()?)));
    probes.filter(|(_, probe)| probe.out).collect()
}
