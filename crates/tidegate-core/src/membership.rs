//! Who is a member of the cluster's pools: the state that the log of revisions adds up to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::carriage::Apart;
use crate::eligibility::Rule;
use crate::hash::{ContentHash, SetHash};
use crate::ids::{ListenerName, NodeName, NodeUid};
use crate::log::Change;
use crate::node::{Weight, Zone};

/// Whether a member takes new connections. A node that is in no membership is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum MemberState {
    /// Takes new connections.
    Active,
    /// Takes no new connection and is removed at the deadline.
    Draining {
        /// When it is removed, if nothing cancels the drain.
        deadline: Timestamp,
    },
}

/// An address that a member no longer has, while old connections to it may live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiring {
    /// The former address.
    pub address: IpAddr,
    /// When it is forgotten.
    pub deadline: Timestamp,
}

/// One node of the membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// `metadata.name`.
    pub node: NodeName,
    /// The node's `Hostname` address, else its name: what the `nodes` table shows.
    pub hostname: String,
    /// Where it is reached, at most one for each family in use, in the order of `nodes.ipFamilies`.
    pub addresses: Vec<IpAddr>,
    /// Whether it takes new connections.
    #[serde(flatten)]
    pub state: MemberState,
    /// The rule that put it in this state.
    pub rule: Rule,
    /// What that rule saw.
    pub reason: String,
    /// When it got into this state.
    pub since: Timestamp,
    /// Former addresses that still drain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<Retiring>,
    /// Listeners that it does not carry, though it is a member.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apart: BTreeMap<ListenerName, Apart>,
    /// Its share of new connections, beside that of the others.
    #[serde(default, skip_serializing_if = "Weight::is_one")]
    pub weight: Weight,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
}

impl Member {
    /// Whether it takes new connections.
    pub fn is_active(&self) -> bool {
        self.state == MemberState::Active
    }
}

/// Every member by its uid: two nodes that had one name are two members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    members: BTreeMap<NodeUid, Member>,
    /// Of `members`, kept up to date so that a commit costs what changed, not what exists.
    digest: SetHash,
}

impl Membership {
    /// All members.
    pub fn members(&self) -> &BTreeMap<NodeUid, Member> {
        &self.members
    }

    /// The member of this uid.
    pub fn get(&self, uid: &NodeUid) -> Option<&Member> {
        self.members.get(uid)
    }

    /// How many members take new connections.
    pub fn active(&self) -> usize {
        self.members.values().filter(|m| m.is_active()).count()
    }

    /// Whether it is recorded of every active member that it does not carry this listener.
    pub fn is_vacant(&self, listener: &ListenerName) -> bool {
        let mut active = self.members.values().filter(|member| member.is_active()).peekable();
        active.peek().is_some() && active.all(|member| member.apart.contains_key(listener))
    }

    /// Applies one change of the log.
    pub fn apply(&mut self, change: &Change) {
        let before = match &change.to {
            Some(member) => self.members.insert(change.uid.clone(), member.clone()),
            None => self.members.remove(&change.uid),
        };
        self.digest = replaced(self.digest, &change.uid, before.as_ref(), change.to.as_ref());
    }

    /// The membership after these changes.
    #[must_use]
    pub fn with(&self, changes: &[Change]) -> Self {
        let mut next = self.clone();
        for change in changes {
            next.apply(change);
        }
        next
    }

    /// The same; nearly every plan changes nothing, and then nothing is copied.
    pub fn after(&self, changes: &[Change]) -> Cow<'_, Self> {
        if changes.is_empty() { Cow::Borrowed(self) } else { Cow::Owned(self.with(changes)) }
    }

    /// The hash that a log entry carries of the state after it.
    pub fn hash(&self) -> ContentHash {
        self.digest.content()
    }

    /// The hash after these changes, at the cost of these changes.
    pub fn hash_with(&self, changes: &[Change]) -> ContentHash {
        let last: BTreeMap<&NodeUid, Option<&Member>> = changes.iter().map(|c| (&c.uid, c.to.as_ref())).collect();
        let step = |digest, (uid, to): (&NodeUid, Option<&Member>)| replaced(digest, uid, self.members.get(uid), to);
        last.into_iter().fold(self.digest, step).content()
    }
}

fn replaced(digest: SetHash, uid: &NodeUid, before: Option<&Member>, after: Option<&Member>) -> SetHash {
    let element = |member: &Member| ContentHash::of_json(&(uid, member));
    let digest = before.map_or(digest, |member| digest.without(element(member)));
    after.map_or(digest, |member| digest.with(element(member)))
}

impl From<BTreeMap<NodeUid, Member>> for Membership {
    fn from(members: BTreeMap<NodeUid, Member>) -> Self {
        let step = |digest, (uid, member): (&NodeUid, &Member)| replaced(digest, uid, None, Some(member));
        let digest = members.iter().fold(SetHash::default(), step);
        Self { members, digest }
    }
}

impl Serialize for Membership {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Membership {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<NodeUid, Member>::deserialize(deserializer).map(Self::from)
    }
}
