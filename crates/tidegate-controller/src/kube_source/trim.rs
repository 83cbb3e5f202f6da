//! From the API's object to the Node that decisions use.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tidegate_core::finalizer::FINALIZER;
use tidegate_core::ids::{InvalidName, NodeName, NodeUid};
use tidegate_core::node::{ANNOTATION_PREFIX, AddressType, Condition, ConditionStatus, Node, NodeAddress};
use tracing::warn;

use super::object::{Address, NodeObject, RawCondition};
use crate::clock::Clock;

/// Names of bad nodes that are remembered, so that each is warned of once.
const MAX_WARNED: usize = 1000;

/// Trims nodes as they arrive; one that cannot be used is skipped, with one warning.
pub(super) struct Trimmer {
    label_keys: BTreeSet<String>,
    clock: Arc<dyn Clock>,
    warned: Mutex<BTreeSet<String>>,
}

impl Trimmer {
    pub(super) fn new(label_keys: BTreeSet<String>, clock: Arc<dyn Clock>) -> Self {
        Self { label_keys, clock, warned: Mutex::new(BTreeSet::new()) }
    }

    /// The node, unless its name or uid is not one.
    pub(super) fn trim(&self, object: &NodeObject) -> Option<Node> {
        match trimmed(object, &self.label_keys, self.clock.now()) {
            Ok(node) => Some(node),
            Err(error) => {
                self.warn_once(object, &error);
                None
            }
        }
    }

    /// Which node, for a deletion.
    pub(super) fn identify(&self, object: &NodeObject) -> Option<(NodeName, NodeUid)> {
        match identity(object) {
            Ok(identity) => Some(identity),
            Err(error) => {
                self.warn_once(object, &error);
                None
            }
        }
    }

    fn warn_once(&self, object: &NodeObject, error: &InvalidName) {
        let key = format!("{:?}", object.metadata.name);
        // A poisoned set costs a repeated warning, nothing more.
        let mut warned = self.warned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if warned.len() < MAX_WARNED && warned.insert(key) {
            warn!(%error, "a Node is skipped");
        }
    }
}

fn identity(object: &NodeObject) -> Result<(NodeName, NodeUid), InvalidName> {
    let name = NodeName::parse(object.metadata.name.clone().unwrap_or_default())?;
    let uid = NodeUid::parse(object.metadata.uid.clone().unwrap_or_default())?;
    Ok((name, uid))
}

/// The fields that decisions use. `now` bounds how long ago a condition changed, and a deletion began.
fn trimmed(object: &NodeObject, label_keys: &BTreeSet<String>, now: Timestamp) -> Result<Node, InvalidName> {
    let (name, uid) = identity(object)?;
    let conditions = object.status.conditions.as_deref().unwrap_or_default();
    let addresses = object.status.addresses.as_deref().unwrap_or_default();
    let taints = object.spec.taints.as_deref().unwrap_or_default();
    Ok(Node {
        name,
        uid,
        created: object.metadata.creation_timestamp.as_ref().map(|t| t.0),
        // The clock of the API server may be ahead of ours: a deadline must not be later for it.
        deleting: object.metadata.deletion_timestamp.as_ref().map(|t| t.0.min(now)),
        labels: labels(object, label_keys),
        annotations: annotations(object),
        finalizer: object.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER),
        taints: taints.iter().map(|t| t.key.clone()).collect(),
        unschedulable: object.spec.unschedulable.unwrap_or_default(),
        addresses: addresses.iter().filter_map(usable).collect(),
        hostname: addresses.iter().find(|a| a.kind == "Hostname").map(|a| a.address.clone()),
        ready: condition(conditions, "Ready", now),
        network_unavailable: condition(conditions, "NetworkUnavailable", now),
    })
}

fn labels(object: &NodeObject, keys: &BTreeSet<String>) -> BTreeMap<String, String> {
    let all = object.metadata.labels.iter().flatten();
    all.filter(|(key, _)| keys.contains(*key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn annotations(object: &NodeObject) -> BTreeMap<String, String> {
    let all = object.metadata.annotations.iter().flatten();
    all.filter(|(key, _)| key.starts_with(ANNOTATION_PREFIX)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn usable(address: &Address) -> Option<NodeAddress> {
    let kind = match address.kind.as_str() {
        "InternalIP" => AddressType::InternalIp,
        "ExternalIP" => AddressType::ExternalIp,
        _ => return None,
    };
    let address: IpAddr = address.address.parse().ok()?;
    Some(NodeAddress { kind, address: address.to_canonical() })
}

fn condition(conditions: &[RawCondition], kind: &str, now: Timestamp) -> Option<Condition> {
    let raw = conditions.iter().find(|c| c.kind == kind)?;
    let status = match raw.status.as_str() {
        "True" => ConditionStatus::True,
        "False" => ConditionStatus::False,
        _ => ConditionStatus::Unknown,
    };
    let since = raw.last_transition_time.as_deref().and_then(|text| text.parse().ok()).unwrap_or(now);
    let (reason, message) = (raw.reason.clone().unwrap_or_default(), raw.message.clone().unwrap_or_default());
    // The clock that wrote it may be ahead of ours: then it changed no earlier than now.
    Some(Condition { status, reason, message, since: Timestamp::min(since, now) })
}

#[cfg(test)]
mod tests;
