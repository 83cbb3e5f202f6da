//! The guards, once more for each listener: nobody leaves it because of a stale view, few because of what is only observed,
//! and never the last.

use crate::eligibility::{Class, Rule};
use crate::guard::{Guard, Limits, Loss, MEMORY, Watch};
use crate::ids::NodeUid;
use crate::membership::Membership;
use crate::mutant::{Mutant, planted};
use crate::time::elapsed;

use super::Demand;

/// Somebody who carries a listener and should not.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    pub(super) uid: NodeUid,
    pub(super) rule: Rule,
    pub(super) reason: String,
}

/// One listener whose carriers change.
pub(super) struct Checks<'a> {
    pub(super) demand: &'a Demand,
    pub(super) watch: &'a Watch<'a>,
    /// Everyone, after what was decided about nodes.
    pub(super) members: &'a Membership,
    /// Why what is followed may be wrong.
    pub(super) problem: Option<&'a str>,
    /// Active members that carry the listener at this moment, those that are leaving it included.
    pub(super) carriers: usize,
    /// Those that begin to carry it now.
    pub(super) returning: usize,
}

/// A leave that is held: by which guard, and why.
pub(super) type Held = (Leaving, Guard, String);

/// What the guards make of those who should leave.
pub(super) struct Split {
    /// They may.
    pub(super) go: Vec<Leaving>,
    /// They stay.
    pub(super) held: Vec<Held>,
    /// Whether all of the listener seem to fail: then who left for that a moment ago is wanted back.
    pub(super) all_failing: bool,
}

impl Checks<'_> {
    /// Splits who should leave into who may and who is held.
    pub(super) fn split(&self, mut leaving: Vec<Leaving>) -> Split {
        let mut held = Vec::new();
        self.stale(&mut leaving, &mut held);
        self.large_drop(&mut leaving, &mut held);
        let all_failing = self.involuntary(&mut leaving, &mut held);
        self.never_empty(&mut leaving, &mut held);
        Split { go: leaving, held, all_failing }
    }

    fn limits(&self) -> Limits {
        Limits { overridden: self.watch.overrides.standing(self.watch.now), ..Limits::default() }
    }

    /// G0.
    fn stale(&self, leaving: &mut Vec<Leaving>, held: &mut Vec<Held>) {
        let off = planted(Mutant::StalePodsBelieved) || self.limits().overridden.contains(&Guard::Fresh);
        let Some(problem) = self.problem.filter(|_| !off) else { return };
        hold(leaving, held, |leaving| leaving.rule != Rule::OutsidePool, Guard::Fresh, problem);
    }

    /// G5: a selector with a typo, or a Service that was renamed, takes nobody out. A pod that is being ended is a fact that
    /// nothing takes back, however many they are.
    fn large_drop(&self, leaving: &mut Vec<Leaving>, held: &mut Vec<Held>) {
        let unlikely = |leaving: &Leaving| matches!(leaving.rule, Rule::NoPod | Rule::OutsidePool);
        let count = leaving.iter().filter(|l| unlikely(l)).count();
        let many = count * 2 > self.carriers && self.carriers > 1;
        if !many || self.limits().overridden.contains(&Guard::LargeDrop) {
            return;
        }
        let example = leaving.iter().find(|l| unlikely(l)).map(|l| format!(" ({})", l.reason)).unwrap_or_default();
        let reason = format!("{count} of {} nodes would leave it at once{example}", self.carriers);
        hold(leaving, held, unlikely, Guard::LargeDrop, &reason);
    }

    /// G2 to G4; whether G4 holds because all seem to fail. Node lifecycle makes pods NotReady with their node: what is wrong
    /// about all nodes is wrong about all pods.
    fn involuntary(&self, leaving: &mut Vec<Leaving>, held: &mut Vec<Held>) -> bool {
        let involuntary = |leaving: &Leaving| leaving.rule.class() == Class::Involuntary;
        let falling = leaving.iter().filter(|l| involuntary(l)).count();
        if falling == 0 {
            return false;
        }
        let limits = self.limits();
        let (out, recent) = (self.fallen(MEMORY), self.fallen(limits.window));
        let base = self.carriers - (leaving.len() - falling) + out;
        let loss = Loss { base, out, recent, falling };
        let ruling = limits.judge(loss, self.watch.suspicion.of_everyone());
        let Some((guard, reason)) = &ruling.held else { return false };
        hold(leaving, held, ruling.stays(involuntary), *guard, reason);
        *guard == Guard::AllFailing && loss.is_of_all()
    }

    /// Active members that left for what was observed, this lately.
    fn fallen(&self, within: std::time::Duration) -> usize {
        let fallen = self.members.members().values().filter(|member| {
            let apart = member.apart.get(&self.demand.listener).filter(|_| member.is_active());
            apart.is_some_and(|apart| {
                apart.rule.class() == Class::Involuntary && elapsed(apart.since, self.watch.now) < within
            })
        });
        fallen.count()
    }

    /// G1: an ingress that is ended everywhere still answers until it has ended; nobody is better.
    fn never_empty(&self, leaving: &mut Vec<Leaving>, held: &mut Vec<Held>) {
        let stay = self.carriers - leaving.len() + self.returning;
        if stay > 0 || self.demand.allow_empty || planted(Mutant::ListenerEmptied) {
            return;
        }
        hold(leaving, held, |_| true, Guard::NeverEmpty, "no node would carry it any more");
    }
}

fn hold(
    leaving: &mut Vec<Leaving>,
    held: &mut Vec<Held>,
    which: impl FnMut(&Leaving) -> bool,
    guard: Guard,
    reason: &str,
) {
    let (stay, go) = std::mem::take(leaving).into_iter().partition(which);
    let stay: Vec<Leaving> = stay;
    *leaving = go;
    held.extend(stay.into_iter().map(|leaving| (leaving, guard, reason.to_owned())));
}
