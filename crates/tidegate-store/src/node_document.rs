//! The article's document of an active node: `{_id, ip, hostname}`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{ClusterName, NodeName, NodeUid};
use tidegate_core::log::Change;
use tidegate_core::membership::{Member, Membership};

/// An ObjectId (12 bytes, 24 hexadecimal digits) derived from the cluster's name and the node's uid, so that writes
/// are idempotent and clusters can share a collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeDocumentId(String);

impl NodeDocumentId {
    /// The id of the document of this node: the first 12 bytes of the SHA-256 of `<cluster>/<uid>`, which is no other
    /// pair's text, as neither may hold a slash.
    pub fn of(cluster: &ClusterName, uid: &NodeUid) -> Self {
        let digest = ContentHash::of_bytes(format!("{cluster}/{uid}").as_bytes()).to_string();
        Self(digest.chars().take(24).collect())
    }

    /// 24 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeDocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One active node, for people and their tools. Never read to decide anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDocument {
    /// Derived from the cluster and the uid.
    #[serde(rename = "_id")]
    pub id: NodeDocumentId,
    /// The first address of the node.
    pub ip: IpAddr,
    /// The node's host name.
    pub hostname: String,
    /// `metadata.name`
    pub node: NodeName,
    /// `metadata.uid`
    pub uid: NodeUid,
    /// Since when it has been active.
    pub since: Timestamp,
}

impl NodeDocument {
    /// The document of a member; none unless it is active.
    pub fn of(cluster: &ClusterName, uid: &NodeUid, member: &Member) -> Option<Self> {
        let ip = member.is_active().then(|| member.addresses.first().copied()).flatten()?;
        let (hostname, node, since) = (member.hostname.clone(), member.node.clone(), member.since);
        Some(Self { id: NodeDocumentId::of(cluster, uid), ip, hostname, node, uid: uid.clone(), since })
    }

    /// What one commit does to the documents: those of nodes that are active after it, and the ids of those that are
    /// not. Of several changes of one node the last counts.
    pub fn of_changes(cluster: &ClusterName, changes: &[Change]) -> (Vec<Self>, Vec<NodeDocumentId>) {
        let last: BTreeMap<_, _> = changes.iter().map(|change| (&change.uid, change)).collect();
        let (mut active, mut removed) = (Vec::new(), Vec::new());
        for (uid, change) in last {
            match change.to.as_ref().and_then(|member| Self::of(cluster, uid, member)) {
                Some(document) => active.push(document),
                None => removed.push(NodeDocumentId::of(cluster, uid)),
            }
        }
        (active, removed)
    }

    /// The documents of all active members.
    pub fn all(cluster: &ClusterName, membership: &Membership) -> Vec<Self> {
        membership.members().iter().filter_map(|(uid, member)| Self::of(cluster, uid, member)).collect()
    }
}
