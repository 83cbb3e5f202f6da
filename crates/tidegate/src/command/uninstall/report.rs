//! What was, or would be, taken away.

use std::fmt::Write as _;

use serde::Serialize;
use tidegate_core::finalizer::FINALIZER;
use tidegate_core::ids::NodeName;

use crate::output::{Screen, one_line};

/// One Node with our finalizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finalizer {
    /// The node.
    pub node: NodeName,
    /// Why it could not be taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One Lease of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeletedLease {
    /// Its name.
    pub lease: String,
    /// Why it could not be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Nodes with our finalizer.
    pub finalizers: Vec<Finalizer>,
    /// Leases of ours.
    pub leases: Vec<DeletedLease>,
    /// What stays: where decisions are recorded.
    pub store: String,
}

impl Report {
    /// Nothing yet.
    pub const fn new(store: String, dry_run: bool) -> Self {
        Self { dry_run, finalizers: Vec::new(), leases: Vec::new(), store }
    }

    /// What would be taken away.
    pub fn plan(&mut self, nodes: impl IntoIterator<Item = NodeName>, leases: Vec<String>) {
        self.finalizers = nodes.into_iter().map(|node| Finalizer { node, error: None }).collect();
        self.finalizers.sort_by(|a, b| a.node.cmp(&b.node));
        self.leases = leases.into_iter().map(|lease| DeletedLease { lease, error: None }).collect();
    }

    /// Whether something of ours is left.
    pub fn has_failed(&self) -> bool {
        self.finalizers.iter().any(|f| f.error.is_some()) || self.leases.iter().any(|l| l.error.is_some())
    }
}

/// The report as a person reads it.
pub fn report_text(report: &Report, screen: &Screen) -> String {
    let style = screen.style;
    let (took, deleted) = if report.dry_run { ("would be taken", "would be deleted") } else { ("taken", "deleted") };
    let nodes = report.finalizers.iter().map(|f| (f.node.as_str(), f.error.as_deref()));
    let leases = report.leases.iter().map(|l| (l.lease.as_str(), l.error.as_deref()));
    let mut text = section(&format!("finalizer {FINALIZER} {took} off"), "no Node has our finalizer", nodes, screen);
    text.push_str(&section(&format!("Leases {deleted}"), "there is no Lease of ours", leases, screen));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{} {}", style.bold("stays:"), report.store);
    let failed = report.finalizers.iter().find(|f| f.error.is_some());
    let last = match (failed, report.dry_run) {
        (Some(first), _) => format!(
            "{} run this again; by hand: kubectl edit node {}, and remove the line {FINALIZER}",
            style.bad("not all is gone:"),
            first.node
        ),
        (None, true) => format!("{} do it with --yes", style.busy("nothing was changed:")),
        (None, false) if report.has_failed() => format!("{} run this again", style.bad("not all is gone:")),
        (None, false) => style.good("nothing of ours is left in the cluster"),
    };
    let _ = writeln!(text, "{last}");
    text
}

fn section<'a>(
    title: &str,
    none: &str,
    items: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    screen: &Screen,
) -> String {
    let lines: Vec<String> = items
        .map(|(name, error)| match error {
            None => format!("  {name}\n"),
            Some(error) => format!("  {name} {}\n", screen.style.bad(&format!("failed: {}", one_line(error)))),
        })
        .collect();
    match lines.len() {
        0 => format!("{none}\n"),
        count => format!("{}\n{}", screen.style.bold(&format!("{title} ({count}):")), lines.concat()),
    }
}
