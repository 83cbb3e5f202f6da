//! What the load balancers say about nodes on their way out: whether one has let go of a node for good, and whether a
//! draining node has no connection left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{LoadBalancerName, NodeUid};
use crate::membership::{MemberState, Membership};
use crate::mutant::{Mutant, planted};
use crate::position::Position;
use crate::time::elapsed;

/// A load balancer that has been silent for longer is not waited for.
pub const SILENT_AFTER: Duration = Duration::from_secs(300);

/// One load balancer, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Which.
    pub name: LoadBalancerName,
    /// When it last answered: the `now` that goes with it, less the age of the answer by a monotonic clock. A clock that is
    /// set ahead silences nobody.
    pub last_seen: Option<Timestamp>,
    /// What it served when it last said so.
    pub live: Option<Position>,
    /// Open connections to each address, counted while that position was live; an address that is missing was not counted.
    pub counted_at: Option<Position>,
    /// See `counted_at`; an address stands for all its ports.
    pub connections: BTreeMap<IpAddr, u64>,
}

/// Where in the log each node began to drain, and where it left.
#[derive(Clone, Debug, Default)]
pub struct Departures {
    /// What was looked at last.
    seen: Position,
    draining: BTreeMap<NodeUid, Position>,
    left: BTreeMap<NodeUid, Position>,
}

impl Departures {
    /// Notes who drains and who is out in `membership`, which is that of `position`. `watched` are the nodes whose
    /// leaving somebody waits for. What this process did not see happen counts from now on, which is late but safe.
    /// To be called after every commit. When some were missed, all counts from now on: a node may have come back and left
    /// again in between (seed 375 of the simulation).
    pub fn update<'a>(
        &mut self,
        membership: &Membership,
        position: Position,
        watched: impl Iterator<Item = &'a NodeUid>,
    ) {
        if position.revision > self.seen.revision.next() {
            *self = Self::default();
        }
        self.seen = position;
        let drains = membership.members().iter().filter(|(_, m)| matches!(m.state, MemberState::Draining { .. }));
        let keep = |known: &BTreeMap<NodeUid, Position>, uid: &NodeUid| {
            (uid.clone(), known.get(uid).copied().unwrap_or(position))
        };
        self.draining = drains.map(|(uid, _)| keep(&self.draining, uid)).collect();
        self.left = watched.filter(|uid| membership.get(uid).is_none()).map(|uid| keep(&self.left, uid)).collect();
    }

    /// Of the watched nodes that are out, those that every load balancer has let go of. Since `started` this process
    /// has been able to hear from them.
    pub fn acknowledged(&self, sights: &[Sight], started: Timestamp, now: Timestamp) -> BTreeSet<NodeUid> {
        let done = |at: &Position| sights.iter().filter(|s| is_awaited(s, started, now)).all(|s| s.live >= Some(*at));
        self.left.iter().filter(|(_, at)| done(at)).map(|(uid, _)| uid.clone()).collect()
    }

    /// The load balancers that a node which is out still waits for.
    pub fn awaited(
        &self,
        uid: &NodeUid,
        sights: &[Sight],
        started: Timestamp,
        now: Timestamp,
    ) -> Vec<LoadBalancerName> {
        let Some(at) = self.left.get(uid) else { return Vec::new() };
        let awaited = sights.iter().filter(|s| is_awaited(s, started, now) && s.live < Some(*at));
        awaited.map(|s| s.name.clone()).collect()
    }

    /// Whether any member drains.
    pub fn anybody_drains(&self) -> bool {
        !self.draining.is_empty()
    }

    /// Draining members to which no load balancer has a connection: all of them have told so, while the drain was live.
    pub fn idle(&self, membership: &Membership, sights: &[Sight]) -> BTreeSet<NodeUid> {
        let idle = |uid: &NodeUid, at: &Position| {
            membership.get(uid).is_some_and(|member| {
                // Former addresses leave the load balancers with the member, whatever still runs over them.
                let former = member.retiring.iter().map(|r| &r.address);
                let addresses: Vec<&IpAddr> = member.addresses.iter().chain(former).collect();
                let none_left =
                    |s: &Sight| s.counted_at >= Some(*at) && addresses.iter().all(|a| s.connections.get(a) == Some(&0));
                planted(Mutant::IdleIsAssumed) || (!sights.is_empty() && sights.iter().all(none_left))
            })
        };
        self.draining.iter().filter(|(uid, at)| idle(uid, at)).map(|(uid, _)| uid.clone()).collect()
    }
}

/// Whether a node's leaving waits for this load balancer: one that was heard of lately, or may still be.
fn is_awaited(sight: &Sight, started: Timestamp, now: Timestamp) -> bool {
    elapsed(sight.last_seen.map_or(started, |seen| seen.max(started)), now) < SILENT_AFTER
}
