//! The status as a person reads it: trouble first, then controllers, nodes that leave, load balancers, all nodes.

mod leaving;
mod probes;
mod replicas;

pub use leaving::held;

use std::fmt::Write as _;
use std::time::Duration;

use tidegate_core::guard::Override;
use tidegate_core::log::Phase;
use tidegate_core::protocol::{DriftOutcome, EngineHealth, Live};
use tidegate_core::status::{
    ClusterStatus, FollowStatus, LoadBalancerStatus, NodeAtListener, NodeStatus, OverrideStatus,
};
use tidegate_core::time::human;

use crate::output::{Paint, Screen, Style, Table, one_line};

/// Shown before a node's name in a list of many.
const NAMED: usize = 5;
/// Columns of a terminal that has room for everything about a load balancer.
const WIDE: usize = 96;

/// The whole status.
pub fn status_text(status: &ClusterStatus, screen: &Screen) -> String {
    let mut text = headline(status, screen);
    // Writing to a String cannot fail.
    let _ = write!(text, "{}", facts(status, screen));
    for table in [replicas::replicas(status, screen), leaving::leaving(status, screen)].into_iter().flatten() {
        let _ = write!(text, "\n{table}");
    }
    let _ = write!(text, "\n{}", load_balancers(status, screen));
    let _ = write!(text, "\n{}", nodes(status, screen));
    text
}

fn headline(status: &ClusterStatus, screen: &Screen) -> String {
    let style = screen.style;
    let mut lines = Vec::new();
    if let Some(frozen) = &status.frozen {
        let line = format!("frozen for {}: {}", screen.age(frozen.since), one_line(&frozen.reason));
        lines.push(format!("{}; meanwhile no node is taken out involuntarily", style.bad(&line)));
    }
    for guard in &status.guards {
        let held = if guard.holding.is_empty() {
            "is in the way".to_owned()
        } else {
            format!("holds {} back", names(&guard.holding))
        };
        let line = format!("guard {} {held} for {}", guard.guard, screen.age(guard.since));
        let way_out = if guard.guard.can_be_overridden() && !guard.holding.is_empty() {
            format!("; to let it happen: tidegate override {} --for 10m --why TEXT", guard.guard)
        } else {
            String::new()
        };
        lines.push(format!("{}: {}{way_out}", style.bad(&line), one_line(&guard.reason)));
    }
    lines.extend(status.follows.iter().filter_map(|follow| cannot_follow(follow, screen)));
    lines.extend(status.overrides.iter().filter(|o| o.order.until > screen.now).map(|o| overridden(o, screen)));
    for lb in status.load_balancers.iter().filter(|lb| !lb.in_sync || lb.last_error.is_some()) {
        lines.push(trouble(lb, screen));
    }
    lines.extend(status.load_balancers.iter().filter_map(|lb| drift(lb, screen)));
    lines.extend(status.load_balancers.iter().flat_map(|lb| probes::trouble(lb, screen)));
    lines.extend(status.load_balancers.iter().filter_map(|lb| probes::aside(lb, screen)));
    let verdict = if status.is_in_sync() {
        style.good("in sync")
    } else if status.desired.is_none() {
        style.busy("nothing to serve yet")
    } else {
        style.bad("degraded")
    };
    let mut text = format!("{} {verdict}\n", style.bold(&format!("cluster {}:", status.cluster)));
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// What the listeners follow cannot be read: a node that joins does not get their traffic, and nobody loses it.
fn cannot_follow(follow: &FollowStatus, screen: &Screen) -> Option<String> {
    let problem = follow.problem.as_ref()?;
    let name = screen.style.bad(&format!("follow {}:", one_line(&follow.follow)));
    Some(format!("{name} {}; meanwhile who carries these listeners stays as it is", one_line(problem)))
}

fn overridden(known: &OverrideStatus, screen: &Screen) -> String {
    let Override { until, by, why, .. } = &known.order;
    let line = format!("guard {} is overridden, holds again {}", known.guard, screen.until(*until));
    format!("{}: by {}, {}", screen.style.busy(&line), one_line(by), one_line(why))
}

fn names<T: std::fmt::Display>(nodes: &[T]) -> String {
    let mut shown: Vec<String> = nodes.iter().take(NAMED).map(ToString::to_string).collect();
    if nodes.len() > NAMED {
        shown.push(format!("{} more", nodes.len() - NAMED));
    }
    shown.join(", ")
}

fn trouble(lb: &LoadBalancerStatus, screen: &Screen) -> String {
    let name = screen.style.bad(&format!("load balancer {}:", lb.name));
    match (&lb.last_error, lb.last_seen) {
        (Some(error), _) => format!("{name} {} ({})", one_line(&error.message), screen.ago(error.at)),
        (None, Some(seen)) => format!("{name} not in sync yet (answered {})", screen.ago(seen)),
        (None, None) => format!("{name} has not answered yet"),
    }
}

/// What somebody else changed there: repaired or not, a person should know who does that.
fn drift(lb: &LoadBalancerStatus, screen: &Screen) -> Option<String> {
    let drift = lb.drift.as_ref()?;
    let (paint, became): (Paint, &str) = match drift.outcome {
        DriftOutcome::Repaired => (Style::busy, "it was undone"),
        DriftOutcome::Reported => (Style::bad, "it stays (agent.drift: report)"),
        DriftOutcome::RepairFailed => (Style::bad, "it could not be undone yet"),
    };
    let name = paint(screen.style, &format!("load balancer {}:", lb.name));
    let times =
        if drift.times > 1 { format!(", {} times since its agent started", drift.times) } else { String::new() };
    let how = one_line(&drift.how);
    Some(format!("{name} somebody else changed what it serves {}: {how}; {became}{times}", screen.ago(drift.at)))
}

fn facts(status: &ClusterStatus, screen: &Screen) -> String {
    let leader = &status.leader;
    let own = if leader.is_self { "this process" } else { "another process" };
    let desired = status.desired.as_ref().map_or_else(|| "nothing yet".to_owned(), content);
    format!(
        "  leader   {} ({own}), term {}, for {}\n  desired  {desired}\n",
        one_line(&leader.holder),
        leader.term,
        screen.age(leader.since)
    )
}

/// `revision 12 (term 3), content 0a1b2c3d4e5f`
fn content(live: &Live) -> String {
    format!("revision {} (term {}), content {}", live.position.revision, live.position.term, live.hash.short())
}

fn load_balancers(status: &ClusterStatus, screen: &Screen) -> String {
    if status.load_balancers.is_empty() {
        return screen.style.faint("no load balancers\n");
    }
    let head = ["LOAD BALANCER", "ENGINE", "LIVE", "IN SYNC", "LAST SEEN", "RELOADS", "OLD WORKERS"];
    // What a narrow terminal has no room for is still in the JSON.
    let columns = if screen.width.is_some_and(|width| width < WIDE) { 5 } else { head.len() };
    let mut table = Table::new(head.get(..columns).unwrap_or(&head));
    for lb in &status.load_balancers {
        let (sync, paint): (&str, Paint) = if lb.in_sync { ("yes", Style::good) } else { ("no", Style::bad) };
        let mut cells = vec![
            lb.name.to_string(),
            engine(lb),
            lb.live.map_or_else(|| "-".to_owned(), |live| format!("revision {}", live.position.revision)),
            sync.to_owned(),
            lb.last_seen.map_or_else(|| "never".to_owned(), |at| screen.ago(at)),
            reloads(lb),
            lb.old_generations.to_string(),
        ];
        cells.truncate(columns);
        table.row(cells, Some((3, paint)));
    }
    table.show(screen)
}

/// `12, 1s apart`: what each of them leaves behind lives as long as its connections.
fn reloads(lb: &LoadBalancerStatus) -> String {
    match &lb.reload_budget {
        Some(budget) => {
            let apart = human(Duration::from_millis(budget.min_interval_millis));
            format!("{}, {apart} apart", lb.reloads)
        }
        None => lb.reloads.to_string(),
    }
}

fn engine(lb: &LoadBalancerStatus) -> String {
    let name = lb.engine.as_deref().unwrap_or("-");
    match &lb.health {
        Some(EngineHealth::Down { .. }) => format!("{name} (down)"),
        Some(EngineHealth::Idle) => format!("{name} (idle)"),
        Some(EngineHealth::Up) | None => name.to_owned(),
    }
}

fn nodes(status: &ClusterStatus, screen: &Screen) -> String {
    if status.nodes.is_empty() {
        return screen.style.faint("no nodes: none is observed, and none is a member\n");
    }
    let count = |phase| status.nodes.iter().filter(|node| node.state == phase).count();
    let counts =
        [Phase::Active, Phase::Draining, Phase::Out].map(|phase| format!("{} {}", count(phase), phase.as_str()));
    let mut table = Table::new(&["NODE", "STATE", "ADDRESS", "RULE", "FOR", "WHY"]);
    let mut sorted: Vec<&NodeStatus> = status.nodes.iter().collect();
    sorted.sort_by_cached_key(|node| natural(node.name.as_str()));
    for node in sorted {
        let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        let cells = vec![
            node.name.to_string(),
            node.state.as_str().to_owned(),
            if addresses.is_empty() { "-".to_owned() } else { addresses.join(",") },
            node.rule.to_string(),
            screen.age(node.since),
            why(node, screen),
        ];
        table.row(cells, Some((1, phase_paint(node.state))));
    }
    format!("{}\nnodes: {}\n", table.show(screen).trim_end(), counts.join(", "))
}

/// As people count: worker-2 before worker-10.
fn natural(name: &str) -> Vec<(u64, String)> {
    let parts = name.split_inclusive(|c: char| !c.is_ascii_digit());
    let key = parts.map(|part| {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        (digits.parse().unwrap_or_default(), part.strip_prefix(digits).unwrap_or_default().to_owned())
    });
    key.collect()
}

/// The colour of a phase.
pub fn phase_paint(phase: Phase) -> Paint {
    match phase {
        Phase::Active => Style::good,
        Phase::Draining => Style::busy,
        Phase::Out => Style::faint,
    }
}

fn why(node: &NodeStatus, screen: &Screen) -> String {
    let mut parts = Vec::new();
    if let Some(guard) = node.held_by {
        parts.push(format!("HELD by guard {guard}"));
    }
    if let Some(deadline) = node.deadline {
        parts.push(format!("removed {}", screen.until(deadline)));
    }
    parts.extend(node.listeners.iter().map(behind));
    parts.push(node.reason.clone());
    parts.join("; ")
}

/// `not behind http (pod-ending)`, `draining behind http (no-pod)`
fn behind(at: &NodeAtListener) -> String {
    let NodeAtListener { listener, rule, held_by, .. } = at;
    match (held_by, at.deadline) {
        (Some(guard), _) => format!("HELD behind {listener} by guard {guard}"),
        (None, Some(_)) => format!("draining behind {listener} ({rule})"),
        (None, None) => format!("not behind {listener} ({rule})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_in_the_order_in_which_people_count() {
        let mut names = ["worker-10", "b-1", "worker-2", "worker-1", "worker-1-b", "ip-10-0-0-9", "ip-10-0-0-11"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["b-1", "ip-10-0-0-9", "ip-10-0-0-11", "worker-1", "worker-1-b", "worker-2", "worker-10"]);
    }
}
