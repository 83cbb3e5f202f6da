//! The controllers that were heard of lately.

use std::time::Duration;

use tidegate_core::status::{ClusterStatus, ReplicaStatus};
use tidegate_core::time::elapsed;

use crate::output::{Paint, Screen, Style, Table};

/// Replicas announce themselves every 10 s: this is the third silence.
const SILENT: Duration = Duration::from_secs(30);

/// A table where there are several; one alone is the leader, who is shown anyway.
pub(super) fn replicas(status: &ClusterStatus, screen: &Screen) -> Option<String> {
    if status.replicas.len() < 2 {
        return None;
    }
    let mut table = Table::new(&["CONTROLLER", "ROLE", "LAST HEARD OF"]);
    for replica in &status.replicas {
        let ReplicaStatus { holder, is_leader, last_seen } = replica;
        let silent = elapsed(*last_seen, screen.now) > SILENT;
        let (role, paint): (&str, Paint) = match (is_leader, silent) {
            (_, true) => ("silent", Style::bad),
            (true, false) => ("leader", Style::good),
            (false, false) => ("follower", Style::faint),
        };
        table.row(vec![holder.clone(), role.to_owned(), screen.ago(*last_seen)], Some((1, paint)));
    }
    Some(table.show(screen))
}
