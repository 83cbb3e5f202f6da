//! Which address each node is reached at, and who gets one that two nodes claim.

use std::collections::BTreeMap;
use std::net::IpAddr;

use thiserror::Error;

use crate::ids::{NodeName, NodeUid};
use crate::membership::{Member, Membership};
use crate::node::{ADDRESS_ANNOTATION, Node};
use crate::policy::{IpFamily, NodePolicy};
use crate::view::ClusterView;

/// Why a node cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressProblem {
    /// None of the configured type and families.
    #[error("status.addresses has no usable {kind} of family {families}")]
    Missing {
        /// `InternalIP` or `ExternalIP`.
        kind: &'static str,
        /// The families that are configured.
        families: String,
    },
    /// The annotation says nothing that can be used.
    #[error("annotation {ADDRESS_ANNOTATION}={value:?} has no usable address of family {families}")]
    Annotation {
        /// What it says.
        value: String,
        /// The families that are configured.
        families: String,
    },
    /// Another node has a better claim.
    #[error("address {address} belongs to node {owner}: two nodes cannot share one")]
    Duplicate {
        /// The address.
        address: IpAddr,
        /// Who keeps it.
        owner: NodeName,
    },
}

/// Who is reached where, worked out over all nodes at once.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    entries: BTreeMap<NodeUid, Result<Vec<IpAddr>, AddressProblem>>,
}

impl AddressBook {
    /// Claims in order of strength: an active member that has the address, then a node that is Ready,
    /// then the older Node, then the smaller uid. A node loses all its addresses with one of them.
    pub fn assign(view: &ClusterView, members: &Membership, policy: &NodePolicy) -> Self {
        let wanted: Vec<(&Node, Vec<IpAddr>)> = view.nodes().map(|n| (n, choose(n, policy))).collect();
        let observed = wanted.iter().flat_map(|(node, addresses)| {
            addresses
                .iter()
                .map(|a| (*a, Claim { strength: strength(node, *a, members), node: &node.name, uid: &node.uid }))
        });
        let mut owners: BTreeMap<IpAddr, Claim<'_>> = BTreeMap::new();
        for (address, claim) in observed.chain(unseen_claims(view, members)) {
            match owners.get(&address) {
                Some(other) if (other.strength, other.uid) <= (claim.strength, claim.uid) => {}
                _ => drop(owners.insert(address, claim)),
            }
        }
        let entry = |(node, addresses): (&Node, _)| (node.uid.clone(), check(node, addresses, &owners, policy));
        Self { entries: wanted.into_iter().map(entry).collect() }
    }

    /// The addresses of a node.
    pub fn get(&self, uid: &NodeUid) -> Result<&[IpAddr], &AddressProblem> {
        match self.entries.get(uid) {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(problem)) => Err(problem),
            None => Ok(&[]),
        }
    }
}

/// Smaller is stronger: has it and is active, is Ready, is older.
type Strength = (bool, bool, Option<jiff::Timestamp>);

#[derive(Clone, Copy)]
struct Claim<'a> {
    strength: Strength,
    node: &'a NodeName,
    uid: &'a NodeUid,
}

fn strength(node: &Node, address: IpAddr, members: &Membership) -> Strength {
    let holds = members.get(&node.uid).is_some_and(|m| m.is_active() && m.addresses.contains(&address));
    (!holds, !node.is_ready(), node.created)
}

/// An active member that is not observed keeps its addresses until it is certain that it is gone.
fn unseen_claims<'a>(view: &ClusterView, members: &'a Membership) -> impl Iterator<Item = (IpAddr, Claim<'a>)> {
    let unseen =
        |(uid, m): &(&NodeUid, &Member)| m.is_active() && view.get(&m.node).is_none() && !view.is_confirmed_gone(uid);
    let claims = |(uid, m): (&'a NodeUid, &'a Member)| {
        let claim = Claim { strength: (false, false, None), node: &m.node, uid };
        m.addresses.iter().map(move |a| (*a, claim))
    };
    members.members().iter().filter(unseen).flat_map(claims)
}

/// The first usable address of each family, in the order of the policy.
fn choose(node: &Node, policy: &NodePolicy) -> Vec<IpAddr> {
    let candidates: Vec<IpAddr> = match node.annotations.get(ADDRESS_ANNOTATION) {
        Some(said) => said.split(',').filter_map(|address| address.trim().parse().ok()).collect(),
        None => node.addresses.iter().filter(|a| a.kind == policy.address_type).map(|a| a.address).collect(),
    };
    let first_of = |family: &IpFamily| candidates.iter().copied().find(|a| family.contains(*a) && is_reachable(*a));
    policy.ip_families.iter().filter_map(first_of).collect()
}

/// Addresses that would send traffic to the load balancer itself, or to nobody.
fn is_reachable(address: IpAddr) -> bool {
    let link_local_v6 = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || link_local_v6 || broadcast)
}

fn check(
    node: &Node,
    addresses: Vec<IpAddr>,
    owners: &BTreeMap<IpAddr, Claim<'_>>,
    policy: &NodePolicy,
) -> Result<Vec<IpAddr>, AddressProblem> {
    if addresses.is_empty() {
        let families: Vec<&str> = policy.ip_families.iter().map(|f| family_name(*f)).collect();
        if let Some(value) = node.annotations.get(ADDRESS_ANNOTATION) {
            return Err(AddressProblem::Annotation { value: value.clone(), families: families.join(", ") });
        }
        let kind = match policy.address_type {
            crate::node::AddressType::InternalIp => "InternalIP",
            crate::node::AddressType::ExternalIp => "ExternalIP",
        };
        return Err(AddressProblem::Missing { kind, families: families.join(", ") });
    }
    let taken = addresses.iter().find_map(|a| owners.get(a).filter(|o| *o.uid != node.uid).map(|o| (*a, o)));
    match taken {
        Some((address, owner)) => Err(AddressProblem::Duplicate { address, owner: owner.node.clone() }),
        None => Ok(addresses),
    }
}

const fn family_name(family: IpFamily) -> &'static str {
    match family {
        IpFamily::Ipv4 => "ipv4",
        IpFamily::Ipv6 => "ipv6",
    }
}
