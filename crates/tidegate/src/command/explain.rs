//! `tidegate explain NODE`: one screen for three in the morning.

use std::fmt::Write as _;

use tidegate_core::ids::NodeName;
use tidegate_core::status::{ListenerProbe, NodeAtListener, NodeAtLoadBalancer, NodeDetail, NodeStatus};

use super::history::history_table;
use super::status::{held, phase_paint};
use crate::cli::{ExplainArgs, Output};
use crate::client::ApiClient;
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, Table, clock, one_line, print, print_json};

/// As many changes as fit under the rest on one screen.
const RECENT: usize = 8;

/// Explains one node.
pub async fn explain(args: &ExplainArgs, screen: Screen) -> Result<Exit, CommandError> {
    let client = ApiClient::from_args(&args.api)?;
    let detail = client.node(&args.node).await?;
    match args.output {
        Output::Json => print_json(&detail)?,
        Output::Table => print(&explain_text(&args.node, &detail, &screen.refreshed()))?,
    }
    Ok(Exit::Fine)
}

/// The explanation as a person reads it.
pub fn explain_text(name: &NodeName, detail: &NodeDetail, screen: &Screen) -> String {
    let mut text = match &detail.node {
        Some(node) => present(node, &detail.outlook, screen),
        None => absent(name, &detail.outlook, screen),
    };
    // Writing to a String cannot fail.
    if let Some(order) = &detail.order {
        let why = if order.why.is_empty() { String::new() } else { format!(": {}", one_line(&order.why)) };
        let (by, since) = (one_line(&order.by), screen.ago(order.since));
        let _ = writeln!(text, "  ordered  out by {by}, {since}{why}; `tidegate undrain {name}` takes it back");
    }
    if let Some(finalizer) = &detail.finalizer {
        let _ = writeln!(text, "  deletion {}", one_line(&held(finalizer, screen)));
    }
    let _ = write!(text, "\n{}", load_balancers(&detail.load_balancers, screen));
    let _ = write!(text, "\n{}", recent(detail, screen));
    text
}

fn present(node: &NodeStatus, outlook: &str, screen: &Screen) -> String {
    let style = screen.style;
    let state = phase_paint(node.state)(style, node.state.as_str());
    let mut text = format!("{} {state}\n", style.bold(&format!("node {}:", node.name)));
    let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
    let address = if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") };
    let _ = writeln!(text, "  why      rule {}: {}", node.rule, one_line(&node.reason));
    let _ = writeln!(text, "  since    {} ({})", screen.ago(node.since), clock(node.since));
    if let Some(guard) = node.held_by {
        let _ = writeln!(
            text,
            "  held     {}",
            style.bad(&format!("by guard {guard}, which keeps the rule from being followed"))
        );
    }
    if let Some(deadline) = node.deadline {
        let _ = writeln!(text, "  removed  {} ({})", screen.until(deadline), clock(deadline));
    }
    let _ = writeln!(text, "  next     {}", one_line(outlook));
    let _ = writeln!(text, "  address  {address}\n  uid      {}", node.uid);
    for at in &node.listeners {
        let _ = writeln!(text, "  listener {}", at_listener(at, screen));
    }
    text
}

/// `http: no new connections (rule pod-ending: pod p1 is being ended), 5 s ago; its connections are given up in 25 s`
fn at_listener(at: &NodeAtListener, screen: &Screen) -> String {
    let NodeAtListener { listener, rule, reason, .. } = at;
    let reason = one_line(reason);
    if let Some(guard) = at.held_by {
        let held = format!("{listener}: rule {rule} wants it out, held by guard {guard} ({reason})");
        return screen.style.bad(&held);
    }
    let since = at.since.map(|since| format!(", {}", screen.ago(since))).unwrap_or_default();
    let what = format!("{listener}: no new connections (rule {rule}: {reason}){since}");
    at.deadline
        .map_or(what.clone(), |deadline| format!("{what}; its connections are given up {}", screen.until(deadline)))
}

fn absent(name: &NodeName, outlook: &str, screen: &Screen) -> String {
    let style = screen.style;
    let head = style.bold(&format!("node {name}:"));
    format!("{head} {}\n  next     {}\n", style.faint("not in the cluster (any more)"), one_line(outlook))
}

fn load_balancers(list: &[NodeAtLoadBalancer], screen: &Screen) -> String {
    if list.is_empty() {
        return screen.style.faint("no load balancers\n");
    }
    let mut table = Table::new(&["LOAD BALANCER", "NEW CONNECTIONS", "LIVE", "PROBE"]);
    for lb in list {
        let (mut reaches, paint): (String, crate::output::Paint) = match lb.live {
            Some(true) => ("yes".to_owned(), crate::output::Style::good),
            Some(false) => ("no".to_owned(), crate::output::Style::faint),
            None => ("not known".to_owned(), crate::output::Style::busy),
        };
        reaches.push_str(&aside(lb));
        let live =
            lb.position.map_or_else(|| "-".to_owned(), |at| format!("revision {} (term {})", at.revision, at.term));
        table.row(vec![lb.name.to_string(), reaches, live, probes(lb, screen)], Some((1, paint)));
    }
    table.show(screen)
}

/// `; set aside for http: it stands in zone rack-b`
fn aside(lb: &NodeAtLoadBalancer) -> String {
    let listeners: Vec<String> = lb.set_aside.keys().map(ToString::to_string).collect();
    lb.set_aside
        .values()
        .next()
        .map_or_else(String::new, |zone| format!("; set aside for {}: it stands in zone {zone}", listeners.join(", ")))
}

/// `http up 5m, https down 3s (Connection refused)`
fn probes(lb: &NodeAtLoadBalancer, screen: &Screen) -> String {
    let one = |ListenerProbe { listener, probe }: &ListenerProbe| {
        let trouble = probe.trouble.as_deref().map(|t| format!(" ({})", one_line(t))).unwrap_or_default();
        format!("{listener} {} for {}{trouble}", probe.verdict.as_str(), screen.age(probe.since))
    };
    let all: Vec<String> = lb.probes.iter().map(one).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

fn recent(detail: &NodeDetail, screen: &Screen) -> String {
    if detail.history.is_empty() {
        return screen.style.faint("no change is recorded\n");
    }
    let shown = detail.history.get(..RECENT).unwrap_or(&detail.history);
    let mut text = history_table(shown, screen);
    if detail.history.len() > RECENT {
        text.push_str(&screen.style.faint("older ones: tidegate history NODE\n"));
    }
    text
}
