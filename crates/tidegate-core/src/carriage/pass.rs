//! From what listeners want to what is recorded: once over the members, after everything about the nodes is decided.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::checks::{Checks, Leaving, Split};
use super::wish::{Wish, Wishes};
use super::{Apart, Demand};
use crate::eligibility::{Class, Rule};
use crate::guard::{Hold, Limits};
use crate::ids::{ListenerName, NodeUid};
use crate::log::{Change, Phase};
use crate::membership::{Member, Membership};
use crate::plan::PlanInput;
use crate::time::after;

/// One step of a member behind one listener: apart, or (nothing) behind it again.
struct Step {
    listener: ListenerName,
    to: Option<Apart>,
    rule: Rule,
    observation: String,
}

/// Adds to what is decided about nodes what listeners ask of them. Answers when time alone will change something.
pub(crate) fn carry(input: &PlanInput<'_>, changes: &mut Vec<Change>, holds: &mut Vec<Hold>) -> Option<Timestamp> {
    let demands = &input.policy.demands;
    let known = |member: &Member| member.apart.is_empty();
    if demands.is_empty() && input.membership.members().values().all(known) {
        return None;
    }
    let members = input.membership.after(changes);
    let mut steps: BTreeMap<NodeUid, Vec<Step>> = BTreeMap::new();
    let mut wake_at = None;
    for demand in demands {
        let pass = Pass { input, demand, members: &members };
        wake_at = [wake_at, pass.run(&mut steps, holds)].into_iter().flatten().min();
    }
    drop_unasked(&members, demands, &mut steps);
    // Thousands may join at once, each with a change already.
    let decided: BTreeMap<NodeUid, usize> = changes.iter().enumerate().map(|(at, c)| (c.uid.clone(), at)).collect();
    let mut own = Vec::new();
    for (uid, steps) in steps {
        let Some(member) = members.get(&uid).cloned() else { continue };
        let (member, rule, observation) = stepped(member, steps);
        if let Some(change) = decided.get(&uid).and_then(|at| changes.get_mut(*at)) {
            change.observation = format!("{}; {observation}", change.observation);
            change.to = Some(member);
        } else {
            let from = Phase::of(input.membership.get(&uid));
            own.push(Change { uid, node: member.node.clone(), from, to: Some(member), rule, observation });
        }
    }
    changes.extend(own);
    let after_it = input.membership.after(changes);
    let deadlines = after_it.members().values().flat_map(|m| m.apart.values()).filter_map(|apart| apart.deadline);
    wake_at.into_iter().chain(deadlines).filter(|at| *at > input.now).min()
}

/// A listener that asks nothing (any more) is carried by everyone.
fn drop_unasked(members: &Membership, demands: &[Demand], steps: &mut BTreeMap<NodeUid, Vec<Step>>) {
    let asking: BTreeSet<&ListenerName> = demands.iter().map(|demand| &demand.listener).collect();
    for (uid, member) in members.members() {
        for listener in member.apart.keys().filter(|listener| !asking.contains(listener)) {
            let observation = "the listener asks nothing of its nodes any more".to_owned();
            let step = Step { listener: listener.clone(), to: None, rule: Rule::Carries, observation };
            steps.entry(uid.clone()).or_default().push(step);
        }
    }
}

/// The member after its steps, the rule of the first of them, and what all of them saw.
fn stepped(mut member: Member, steps: Vec<Step>) -> (Member, Rule, String) {
    let rule = steps.first().map_or(Rule::Carries, |step| step.rule);
    let observations: Vec<String> =
        steps.iter().map(|step| format!("listener {}: {}", step.listener, step.observation)).collect();
    for Step { listener, to, .. } in steps {
        match to {
            Some(apart) => drop(member.apart.insert(listener, apart)),
            None => drop(member.apart.remove(&listener)),
        }
    }
    (member, rule, observations.join("; "))
}

/// One listener.
struct Pass<'a> {
    input: &'a PlanInput<'a>,
    demand: &'a Demand,
    members: &'a Membership,
}

impl Pass<'_> {
    fn run(&self, steps: &mut BTreeMap<NodeUid, Vec<Step>>, holds: &mut Vec<Hold>) -> Option<Timestamp> {
        let wishes = Wishes::of(self.input, self.demand);
        let mut leaving = Vec::new();
        let mut returning = 0;
        let mut carriers = 0;
        for (uid, member) in self.members.members() {
            let apart = member.apart.get(&self.demand.listener);
            let is_new = self.input.membership.get(uid).is_none();
            carriers += usize::from(member.is_active() && apart.is_none() && !is_new);
            let step = match (wishes.about(member), apart) {
                (Wish::Carry(_), None) => {
                    returning += usize::from(is_new && member.is_active());
                    continue;
                }
                (Wish::Carry(why), Some(_)) => {
                    returning += usize::from(member.is_active());
                    self.step(None, Rule::Carries, why)
                }
                (Wish::Part(rule, reason), None) if is_new => self.part_at_once(rule, reason),
                (Wish::NotKnown(reason), None) if is_new => self.part_at_once(Rule::NoPod, reason),
                (Wish::Part(rule, reason), None) if member.is_active() => {
                    leaving.push(Leaving { uid: uid.clone(), rule, reason });
                    continue;
                }
                (Wish::Part(..) | Wish::NotKnown(_), None) => continue,
                (Wish::Part(..) | Wish::NotKnown(_), Some(apart)) => match self.ended(apart) {
                    Some(step) => step,
                    None => continue,
                },
            };
            steps.entry(uid.clone()).or_default().push(step);
        }
        let watch = self.input.watch();
        let (demand, members, problem) = (self.demand, self.members, wishes.problem());
        let checks = Checks { demand, watch: &watch, members, problem, carriers, returning };
        let Split { go, held, all_failing } = checks.split(leaving);
        if all_failing {
            self.recall(&wishes, steps);
        }
        if carriers + returning == go.len() && !demand.allow_empty {
            self.make_do(&wishes, steps);
        }
        for Leaving { uid, rule, reason } in go {
            let step = self.part(rule, reason, Some(after(self.input.now, self.input.policy.drain_timeout)));
            steps.entry(uid).or_default().push(step);
        }
        let any = !held.is_empty();
        holds.extend(held.into_iter().filter_map(|(leaving, guard, why)| {
            let node = self.members.get(&leaving.uid)?.node.clone();
            let listener = Some(self.demand.listener.clone());
            Some(Hold { guard, uid: leaving.uid, node, rule: leaving.rule, reason: why, listener })
        }));
        // What is held because of the pace may go when the window has passed.
        any.then(|| after(self.input.now, Limits::default().window))
    }

    /// Those whose drain began for what now seems to befall everyone carry it again, as with nodes (decision 29).
    fn recall(&self, wishes: &Wishes<'_>, steps: &mut BTreeMap<NodeUid, Vec<Step>>) {
        let observed = |rule: Rule| rule.class() == Class::Involuntary;
        let drains = |apart: &Apart| apart.deadline.is_some_and(|deadline| deadline > self.input.now);
        for (uid, apart, rule, reason) in self.apart_of_now(wishes) {
            if observed(rule) && apart.is_some_and(|apart| drains(apart) && observed(apart.rule)) {
                let observation = format!("all seem to fail at once, so its drain is cancelled; {reason}");
                steps.entry(uid.clone()).or_default().push(self.step(None, rule, observation));
            }
        }
    }

    /// Whoever carried it last is leaving as a node, or nobody ever did: then those with a pod that is not Ready are better
    /// than none, and without them those whose pod is being ended. Guard *never-empty* keeps them until one is Ready.
    fn make_do(&self, wishes: &Wishes<'_>, steps: &mut BTreeMap<NodeUid, Vec<Step>>) {
        let apart: Vec<_> = self.apart_of_now(wishes).collect();
        let better =
            [Rule::PodNotReady, Rule::PodEnding].into_iter().find(|r| apart.iter().any(|(.., rule, _)| rule == r));
        for (uid, _, rule, reason) in apart.into_iter().filter(|(.., rule, _)| Some(*rule) == better) {
            let observation = format!("no other node carries it; {reason}");
            let steps = steps.entry(uid.clone()).or_default();
            // What was decided about a new one, or about the end of a drain, is not so any more.
            steps.retain(|step| step.listener != self.demand.listener);
            steps.push(self.step(None, rule, observation));
        }
    }

    /// Active members that do not carry it (as recorded), or are new, and should not, with the rule and the reason of this
    /// moment.
    fn apart_of_now(&self, wishes: &Wishes<'_>) -> impl Iterator<Item = (&NodeUid, Option<&Apart>, Rule, String)> {
        let active = self.members.members().iter().filter(|(_, member)| member.is_active());
        active.filter_map(|(uid, member)| {
            let apart = member.apart.get(&self.demand.listener);
            if apart.is_none() && self.input.membership.get(uid).is_some() {
                return None;
            }
            match wishes.about(member) {
                Wish::Part(rule, reason) => Some((uid, apart, rule, reason)),
                Wish::NotKnown(reason) => Some((uid, apart, apart?.rule, reason)),
                Wish::Carry(_) => None,
            }
        })
    }

    fn step(&self, to: Option<Apart>, rule: Rule, observation: String) -> Step {
        Step { listener: self.demand.listener.clone(), to, rule, observation }
    }

    fn part(&self, rule: Rule, reason: String, deadline: Option<Timestamp>) -> Step {
        let apart = Apart { deadline, rule, reason: reason.clone(), since: self.input.now };
        self.step(Some(apart), rule, reason)
    }

    /// Who is new has no connection to keep.
    fn part_at_once(&self, rule: Rule, reason: String) -> Step {
        self.part(rule, reason, None)
    }

    /// The end of a drain.
    fn ended(&self, apart: &Apart) -> Option<Step> {
        let deadline = apart.deadline?;
        // It seems to have begun in the future: the clock was put back, and would make it last as much longer.
        let put_back = apart.since > self.input.now;
        if deadline > self.input.now && !put_back {
            return None;
        }
        let timeout = after(self.input.now, self.input.policy.drain_timeout);
        let next = if put_back && deadline > self.input.now {
            Apart { deadline: Some(deadline.min(timeout)), since: self.input.now, ..apart.clone() }
        } else {
            Apart { deadline: None, ..apart.clone() }
        };
        Some(self.step(Some(next), apart.rule, format!("its drain has ended ({})", apart.reason)))
    }
}
