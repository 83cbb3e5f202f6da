//! The only diff: what is observed against what is recorded, giving the changes to commit.

mod recall;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::carriage::carry;
use crate::eligibility::{Action, AddressBook, Class, Rule, Subject, Verdict, evaluate, gone};
use crate::follow::{Follow, FollowView};
use crate::guard::{Checked, Freshness, Guard, Hold, Overrides, Removals, Signs, Suspicion, Watch, check};
use crate::ids::{NodeName, NodeUid};
use crate::log::{Change, Phase};
use crate::membership::{Member, MemberState, Membership, Retiring};
use crate::mutant::{Mutant, planted};
use crate::node::Node;
use crate::order::Orders;
use crate::policy::NodePolicy;
use crate::time::after;
use crate::view::ClusterView;

/// Everything a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// What is observed.
    pub view: &'a ClusterView,
    /// What is recorded.
    pub membership: &'a Membership,
    /// What operators want.
    pub orders: &'a Orders,
    /// Draining members without any connection: nobody waits for their deadline.
    pub idle: &'a BTreeSet<NodeUid>,
    /// Whether the address answers the probes of any load balancer, of those that are asked.
    pub answers: &'a BTreeMap<IpAddr, bool>,
    /// What is observed of what listeners follow.
    pub follows: &'a BTreeMap<Follow, FollowView>,
    /// The switches.
    pub policy: &'a NodePolicy,
    /// How far the view can be trusted.
    pub freshness: Freshness,
    /// Who went involuntarily of late.
    pub removals: &'a Removals,
    /// What the guards found suspicious of late.
    pub suspicion: &'a Suspicion,
    /// What operators let through.
    pub overrides: &'a Overrides,
    /// The time.
    pub now: Timestamp,
}

/// The verdict on one observed node, before the guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Which node.
    pub uid: NodeUid,
    /// Its name.
    pub node: NodeName,
    /// The addresses it has or would have.
    pub addresses: Vec<IpAddr>,
    /// What the table says.
    pub verdict: Verdict,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To commit, in one revision.
    pub changes: Vec<Change>,
    /// Wanted by the table, held by a guard.
    pub holds: Vec<Hold>,
    /// What the guards find suspicious: to be told to [`Suspicion::take`].
    pub signs: Signs,
    /// Members that seem gone: ask the API server for each by name, and tell the view.
    pub confirm: Vec<(NodeName, NodeUid)>,
    /// The verdict on each observed node.
    pub judged: Vec<Judged>,
    /// When time alone makes a new plan necessary.
    pub wake_at: Option<Timestamp>,
}

/// Works out the changes that bring the record in line with what is observed.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let book = AddressBook::assign(input.view, input.membership, input.policy);
    let judged: Vec<Judged> = input.view.nodes().map(|node| judge(input, node, &book)).collect();
    let mut plan = Plan::default();
    let mut wanted = Vec::new();
    for (node, judged) in input.view.nodes().zip(&judged) {
        let draft = Draft { input, node: &node.name, uid: &node.uid, verdict: &judged.verdict };
        wanted.extend(draft.change(Some((node, &judged.addresses))));
    }
    for (uid, member) in input.membership.members() {
        let Some(verdict) = absent_verdict(input, uid, member, &mut plan) else { continue };
        let draft = Draft { input, node: &member.node, uid, verdict: &verdict };
        wanted.extend(draft.change(None));
    }
    let Checked { passed: mut changes, held: mut holds, signs, wake_at: lets_go } = check(wanted, &input.watch());
    if signs.all_failing && holds.iter().any(|hold| hold.guard == Guard::AllFailing) {
        recall::put_in(input, &judged, &mut changes);
    }
    changes.extend(moved(input, &judged, &holds));
    changes.extend(overdue(input, &changes));
    let carried = carry(input, &mut changes, &mut holds);
    let after_it = input.membership.after(&changes);
    let wake_at = [wake_at(&judged, &after_it, input.now), lets_go.filter(|at| *at > input.now), carried];
    Plan { changes, holds, signs, judged, wake_at: wake_at.into_iter().flatten().min(), ..plan }
}

impl<'a> PlanInput<'a> {
    pub(crate) fn watch(&'a self) -> Watch<'a> {
        let Self { membership, freshness, removals, suspicion, overrides, now, .. } = self;
        Watch { before: membership, freshness, removals, suspicion, overrides, now: *now }
    }
}

/// New addresses of members that a guard keeps: what is held is the node, and its former address may be another's by now
/// (seed 796 of the simulation). One that an operator drained is wanted nowhere, so at no new address either.
fn moved(input: &PlanInput<'_>, judged: &[Judged], holds: &[Hold]) -> Vec<Change> {
    let held: BTreeSet<&NodeUid> = holds.iter().map(|hold| &hold.uid).collect();
    let change = |(node, judged): (&Node, &Judged)| {
        // Nearly always nobody is held: asked first, it costs nothing.
        let held = Some(&node.uid).filter(|uid| held.contains(uid) && input.orders.get(uid).is_none())?;
        let member = input.membership.get(held).filter(|member| member.is_active())?;
        if judged.addresses == member.addresses {
            return None;
        }
        let draft = Draft { input, node: &node.name, uid: &node.uid, verdict: &judged.verdict };
        let to = draft.serving(node, &judged.addresses, Some(member));
        let addresses: Vec<String> = judged.addresses.iter().map(IpAddr::to_string).collect();
        Some(Change {
            uid: node.uid.clone(),
            node: node.name.clone(),
            from: Phase::Active,
            to: Some(Member { rule: member.rule, reason: member.reason.clone(), ..to }),
            rule: member.rule,
            observation: format!("its address is {} now", addresses.join(", ")),
        })
    };
    input.view.nodes().zip(judged).filter_map(change).collect()
}

/// Former addresses whose time is up of members that a guard keeps as they are (seed 51 of the simulation): what is held is
/// the node, not what it has long left behind.
fn overdue(input: &PlanInput<'_>, changes: &[Change]) -> Vec<Change> {
    let changed: BTreeSet<&NodeUid> = changes.iter().map(|change| &change.uid).collect();
    let overdue = |member: &Member| member.is_active() && member.retiring.iter().any(|r| r.deadline <= input.now);
    let members = input.membership.members().iter();
    let kept = members.filter(|(uid, member)| !changed.contains(uid) && overdue(member));
    kept.map(|(uid, member)| {
        let ended: Vec<String> = member.retiring.iter().map(|r| r.address.to_string()).collect();
        let retiring = member.retiring.iter().filter(|r| r.deadline > input.now).cloned().collect();
        Change {
            uid: uid.clone(),
            node: member.node.clone(),
            from: Phase::Active,
            to: Some(Member { retiring, ..member.clone() }),
            rule: member.rule,
            observation: format!("the drain of its former address has ended ({})", ended.join(", ")),
        }
    })
    .collect()
}

fn judge(input: &PlanInput<'_>, node: &Node, book: &AddressBook) -> Judged {
    let member = input.membership.get(&node.uid);
    let addresses = book.get(&node.uid);
    let order = input.orders.get(&node.uid);
    let answers =
        addresses.ok().and_then(|all| all.iter().filter_map(|a| input.answers.get(a).copied()).reduce(|a, b| a || b));
    let (phase, policy, now) = (Phase::of(member), input.policy, input.now);
    let subject = Subject { node, phase, policy, answers, order, addresses, now };
    let kept = || member.map(|m| m.addresses.clone()).unwrap_or_default();
    let addresses = addresses.map_or_else(|_| kept(), <[IpAddr]>::to_vec);
    Judged { uid: node.uid.clone(), node: node.name.clone(), addresses, verdict: evaluate(&subject) }
}

/// The verdict on a member that is not among the observed nodes; none while that is not certain. Another uid under its
/// name is no certainty: a view that lags behind may still show the node *before* this member.
fn absent_verdict(input: &PlanInput<'_>, uid: &NodeUid, member: &Member, plan: &mut Plan) -> Option<Verdict> {
    let other = input.view.get(&member.node);
    if other.is_some_and(|node| node.uid == *uid) {
        return None;
    }
    if input.view.is_confirmed_gone(uid) || (planted(Mutant::GoneUnconfirmed) && input.view.is_listed()) {
        return Some(other.map_or_else(|| gone(input.policy), replaced_by));
    }
    if input.view.is_listed() {
        plan.confirm.push((member.node.clone(), uid.clone()));
    }
    // Not certain yet, but a drain that was decided before goes on.
    matches!(member.state, MemberState::Draining { .. }).then(|| Verdict {
        rule: member.rule,
        action: Action::Drain(input.policy.drain_timeout),
        reason: member.reason.clone(),
        recheck_at: None,
    })
}

fn replaced_by(node: &Node) -> Verdict {
    let reason = format!("node {} was re-created: its uid is now {}", node.name, node.uid);
    Verdict { rule: Rule::Replaced, action: Action::Remove, reason, recheck_at: None }
}

fn wake_at(judged: &[Judged], membership: &Membership, now: Timestamp) -> Option<Timestamp> {
    let rechecks = judged.iter().filter_map(|j| j.verdict.recheck_at);
    let deadlines = membership.members().values().flat_map(|m| {
        let own = match m.state {
            MemberState::Draining { deadline } => Some(deadline),
            MemberState::Active => None,
        };
        own.into_iter().chain(m.retiring.iter().map(|r| r.deadline))
    });
    // What is due already waits for something other than time (a guard that lets go).
    rechecks.chain(deadlines).filter(|at| *at > now).min()
}

/// What else a change is about, for the history.
fn other_share(from: &Member, to: &Member) -> String {
    let zone = |member: &Member| member.zone.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    let parts = [
        (from.weight != to.weight).then(|| format!("; weight {} instead of {}", to.weight.get(), from.weight.get())),
        (from.zone != to.zone).then(|| format!("; zone {} instead of {}", zone(to), zone(from))),
    ];
    parts.into_iter().flatten().collect()
}

/// One node's step, as the verdict wants it.
struct Draft<'a> {
    input: &'a PlanInput<'a>,
    node: &'a NodeName,
    uid: &'a NodeUid,
    verdict: &'a Verdict,
}

impl Draft<'_> {
    fn change(&self, observed: Option<(&Node, &[IpAddr])>) -> Option<Change> {
        let member = self.input.membership.get(self.uid);
        let to = match (self.verdict.action, member) {
            (Action::Serve, _) => {
                let (node, addresses) = observed?;
                Some(self.serving(node, addresses, member))
            }
            (Action::Wait, Some(member)) => self.kept(member),
            (Action::Drain(timeout), Some(member)) => self.draining(member, timeout),
            (Action::Remove, Some(_)) => None,
            (Action::Wait | Action::Drain(_) | Action::Remove, None) => return None,
        };
        if to.as_ref() == member {
            return None;
        }
        let early = to.is_none() && member.is_some_and(|m| !self.is_due(m) && self.is_idle(m));
        let ended = if early { "; no connection was left" } else { "" };
        let other = member.zip(to.as_ref()).map(|(from, to)| other_share(from, to)).unwrap_or_default();
        Some(Change {
            uid: self.uid.clone(),
            node: self.node.clone(),
            from: Phase::of(member),
            to,
            rule: self.verdict.rule,
            observation: format!("{}{ended}{other}", self.verdict.reason),
        })
    }

    /// An active member with these addresses; former ones retire.
    fn serving(&self, node: &Node, addresses: &[IpAddr], member: Option<&Member>) -> Member {
        let hostname = node.hostname.clone().unwrap_or_else(|| node.name.to_string());
        let (weight, zone) = (node.weight().unwrap_or_default(), node.zone());
        let moved = member.is_none_or(|m| !m.is_active() || m.addresses != addresses);
        if let Some(member) = member.filter(|_| !moved) {
            return Member { hostname, weight, zone, ..self.tidied(member) };
        }
        let mut next = Member {
            node: node.name.clone(),
            hostname,
            addresses: addresses.to_vec(),
            state: MemberState::Active,
            rule: self.verdict.rule,
            reason: self.verdict.reason.clone(),
            since: self.input.now,
            retiring: member.map(|m| self.still_retiring(m)).unwrap_or_default(),
            apart: member.map(|m| m.apart.clone()).unwrap_or_default(),
            weight,
            zone,
        };
        let deadline = after(self.input.now, self.input.policy.drain_timeout);
        let former = member.into_iter().flat_map(|m| &m.addresses).filter(|a| !addresses.contains(a));
        next.retiring.extend(former.map(|a| Retiring { address: *a, deadline }));
        next.retiring.retain(|r| !addresses.contains(&r.address));
        next
    }

    /// The member as it drains, or nothing when its time is up.
    fn draining(&self, member: &Member, timeout: Duration) -> Option<Member> {
        let (deadline, since) = match member.state {
            MemberState::Active => (after(self.input.now, timeout), self.input.now),
            MemberState::Draining { .. } if planted(Mutant::DrainRestarts) && self.input.idle.is_empty() => {
                (after(self.input.now, timeout), self.input.now)
            }
            // It seems to have begun in the future: the clock was put back, and would make it last as much longer.
            MemberState::Draining { deadline } if member.since > self.input.now => {
                (deadline.min(after(self.input.now, timeout)), self.input.now)
            }
            MemberState::Draining { .. } if member.rule == self.verdict.rule => return self.kept(member),
            // Another reason for the same drain: its clock goes on.
            MemberState::Draining { deadline } => (deadline, member.since),
        };
        let kept = self.kept(member)?;
        let (rule, reason) = (self.verdict.rule, self.verdict.reason.clone());
        Some(Member { state: MemberState::Draining { deadline }, rule, reason, since, ..kept })
    }

    /// The member as it is, or nothing when it was draining and its time is up.
    fn kept(&self, member: &Member) -> Option<Member> {
        (!self.expired(member)).then(|| self.tidied(member))
    }

    fn expired(&self, member: &Member) -> bool {
        self.is_due(member) || self.is_idle(member)
    }

    fn is_due(&self, member: &Member) -> bool {
        matches!(member.state, MemberState::Draining { deadline } if deadline <= self.input.now)
    }

    /// A node that somebody wants out has nothing to wait for once it has no connection. One that may come back (not
    /// ready) waits for its deadline: coming back in time is cheaper than joining anew.
    fn is_idle(&self, member: &Member) -> bool {
        let draining = matches!(member.state, MemberState::Draining { .. });
        draining && self.verdict.rule.class() == Class::Voluntary && self.input.idle.contains(self.uid)
    }

    fn tidied(&self, member: &Member) -> Member {
        Member { retiring: self.still_retiring(member), ..member.clone() }
    }

    fn still_retiring(&self, member: &Member) -> Vec<Retiring> {
        // As with a drain: a clock that was put back must not make it last as much longer (seed 2529 of the simulation).
        let put_back = member.since > self.input.now;
        let latest = after(self.input.now, self.input.policy.drain_timeout);
        let clamped = |r: &Retiring| if put_back { r.deadline.min(latest) } else { r.deadline };
        let retiring = member.retiring.iter().filter(|r| r.deadline > self.input.now);
        retiring.map(|r| Retiring { deadline: clamped(r), ..r.clone() }).collect()
    }
}
