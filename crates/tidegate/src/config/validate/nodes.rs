//! Which nodes receive traffic, and how their Nodes are kept.

use std::time::Duration;

use tidegate_core::finalizer::{FinalizerPolicy, LONGEST_DEADLINE};
use tidegate_core::policy::NodePolicy;

use super::{Validator, value_or};
use crate::config::raw::RawNodes;
use crate::config::text::written;

impl Validator<'_> {
    /// The switches of the rule table.
    pub(super) fn policy(&mut self, nodes: &RawNodes) -> NodePolicy {
        let default = NodePolicy::default();
        let families = nodes.ip_families.as_ref();
        if let Some(empty) = families.filter(|list| list.value.is_empty() && !self.problems.mentions(&list.spot.path)) {
            self.problems.error(&empty.spot, "is empty: no node would have an address", "write [ipv4] or [ipv4, ipv6]");
        }
        let mut ip_families = Vec::new();
        for family in families.into_iter().flat_map(|list| &list.value) {
            if ip_families.contains(&family.value.0) {
                self.problems.error(&family.spot, "stands in the list twice", "remove one of the two");
            }
            ip_families.push(family.value.0);
        }
        let drain_taints = nodes.drain_taints.iter().flat_map(|list| &list.value).map(|key| key.0.0.clone()).collect();
        NodePolicy {
            selector: nodes.selector.as_ref().map(|s| s.value.0.clone()),
            address_type: value_or(nodes.address_type.as_ref(), default.address_type),
            ip_families: if families.is_some() { ip_families } else { default.ip_families },
            not_ready: value_or(nodes.not_ready.as_ref(), default.not_ready),
            join_delay: value_or(nodes.join_delay.as_ref(), default.join_delay),
            drain_timeout: value_or(nodes.drain_timeout.as_ref(), default.drain_timeout),
            drain_on_cordon: value_or(nodes.drain_on_cordon.as_ref(), default.drain_on_cordon),
            ignore_exclude_label: value_or(nodes.ignore_exclude_label.as_ref(), default.ignore_exclude_label),
            drain_taints,
            demands: default.demands,
        }
    }

    /// `nodes.finalizer`, for nodes that drain this long.
    pub(super) fn finalizer(&mut self, drain_timeout: Duration) -> FinalizerPolicy {
        let default = FinalizerPolicy::default();
        let Some(raw) = self.raw.nodes.as_ref().and_then(|nodes| nodes.finalizer.as_ref()) else { return default };
        let enabled = value_or(raw.enabled.as_ref(), default.enabled);
        let deadline = value_or(raw.deadline.as_ref(), default.deadline);
        if let Some(at) = &raw.deadline {
            if deadline.is_zero() || deadline > LONGEST_DEADLINE {
                let cure = format!("write at most {}, and more than 0s", written(LONGEST_DEADLINE));
                self.problems.error(&at.spot, "is out of bounds", cure);
            } else if enabled && deadline < drain_timeout {
                let message = format!("a deleted Node is released before its drain of {} ends", written(drain_timeout));
                self.problems.warning(&at.spot, message, "make it longer than nodes.drainTimeout");
            }
        }
        FinalizerPolicy { enabled, deadline }
    }
}
