//! Nodes on their way out: the time that is left, the connections that are, the deletions that wait.

use std::collections::BTreeMap;

use tidegate_core::ids::NodeName;
use tidegate_core::log::Phase;
use tidegate_core::status::{ClusterStatus, FinalizerStatus, NodeStatus};

use crate::output::{Screen, Style, Table};

/// One table of all of them; nothing when there are none.
pub(super) fn leaving(status: &ClusterStatus, screen: &Screen) -> Option<String> {
    let mut nodes: BTreeMap<&NodeName, (Option<&NodeStatus>, Option<&FinalizerStatus>)> = BTreeMap::new();
    for node in status.nodes.iter().filter(|node| node.state == Phase::Draining) {
        nodes.entry(&node.name).or_default().0 = Some(node);
    }
    for finalizer in &status.finalizers {
        nodes.entry(&finalizer.node).or_default().1 = Some(finalizer);
    }
    if nodes.is_empty() {
        return None;
    }
    let mut table = Table::new(&["LEAVING", "REMOVED", "CONNECTIONS", "DELETION"]);
    for (name, (draining, finalizer)) in nodes {
        let removed = match draining {
            Some(node) => node.deadline.map_or_else(|| "soon".to_owned(), |at| screen.until(at)),
            None => "yes".to_owned(),
        };
        let late = finalizer.is_some_and(|f| f.deadline <= screen.now);
        let deletion = finalizer.map_or_else(|| "-".to_owned(), |f| held(f, screen));
        let cells = vec![name.to_string(), removed, connections(status, name), deletion];
        table.row(cells, Some(if late { (3, Style::bad) } else { (1, Style::busy) }));
    }
    Some(table.show(screen))
}

/// `waits for lb-2, until 1m 20s from now at the latest`
pub fn held(finalizer: &FinalizerStatus, screen: &Screen) -> String {
    let FinalizerStatus { deadline, waits_for, .. } = finalizer;
    if *deadline <= screen.now {
        return format!("overdue for {}, waits for {waits_for}", screen.age(*deadline));
    }
    format!("waits for {waits_for}, released {} at the latest", screen.until(*deadline))
}

/// Open connections to a node: the sum, and where there are several load balancers, those of each.
fn connections(status: &ClusterStatus, node: &NodeName) -> String {
    let known: Vec<(String, u64)> = status
        .load_balancers
        .iter()
        .filter_map(|lb| {
            let backends: Vec<_> = lb.backends.iter().filter(|backend| backend.node == *node).collect();
            let counts: Option<Vec<u64>> = backends.iter().map(|backend| backend.connections).collect();
            let counted = counts.filter(|counts| !counts.is_empty())?;
            Some((lb.name.to_string(), counted.iter().sum()))
        })
        .collect();
    match known.as_slice() {
        [] => "not known".to_owned(),
        [(_, count)] => count.to_string(),
        several => {
            let each: Vec<String> = several.iter().map(|(name, count)| format!("{name} {count}")).collect();
            format!("{} ({})", several.iter().map(|(_, count)| count).sum::<u64>(), each.join(", "))
        }
    }
}
