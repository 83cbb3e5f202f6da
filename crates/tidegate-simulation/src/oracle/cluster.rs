//! Which nodes are well and wanted, worked out from what is true and independent of the rule table's code.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::node::{ConditionStatus, Node};

use super::Oracle;

/// Taints and labels with which this simulation sends nodes away.
pub(crate) const AUTOSCALER_TAINT: &str = "ToBeDeletedByClusterAutoscaler";
pub(crate) const OUT_OF_SERVICE_TAINT: &str = "node.kubernetes.io/out-of-service";
pub(crate) const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

impl Oracle {
    /// The cluster has changed.
    pub(crate) fn sees(&mut self, nodes: &BTreeMap<NodeName, Node>, now: Duration) {
        let earlier = std::mem::take(&mut self.healthy_since);
        let since = |node: &Node| {
            let before = earlier.get(&node.uid).copied().flatten();
            (is_well(node) && is_alone(node, nodes)).then(|| before.unwrap_or(now))
        };
        self.healthy_since = nodes.values().map(|node| (node.uid.clone(), since(node))).collect();
    }

    /// Nodes that have been well and wanted for this long.
    pub(crate) fn well_for(&self, length: Duration, now: Duration) -> BTreeSet<NodeUid> {
        let long = |since: Option<Duration>| since.is_some_and(|since| since + length <= now);
        let wanted = |uid: &NodeUid| self.log.orders.get(uid).is_none() && long(Some(self.let_back(uid)));
        let well = self.healthy_since.iter().filter(|(uid, since)| long(**since) && wanted(uid));
        well.map(|(uid, _)| uid.clone()).collect()
    }

    fn let_back(&self, uid: &NodeUid) -> Duration {
        self.let_back.get(uid).copied().unwrap_or_default()
    }

    /// Whether any node is well and wanted now.
    pub(crate) fn anybody_well(&self, now: Duration) -> bool {
        !self.well_for(Duration::ZERO, now).is_empty()
    }
}

fn is_well(node: &Node) -> bool {
    let ready = node.ready.as_ref().is_some_and(|c| c.status == ConditionStatus::True);
    let unwanted = [AUTOSCALER_TAINT, OUT_OF_SERVICE_TAINT].into_iter().any(|t| node.taints.contains(t))
        || node.labels.contains_key(EXCLUDE_LABEL);
    ready && !unwanted && node.deleting.is_none() && !node.addresses.is_empty()
}

fn is_alone(node: &Node, nodes: &BTreeMap<NodeName, Node>) -> bool {
    nodes.values().filter(|other| other.addresses == node.addresses).count() == 1
}
