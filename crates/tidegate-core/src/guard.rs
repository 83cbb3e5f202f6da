//! Guards on the whole set: what the table wants for each node, checked against what must never happen.
//!
//! G0 to G5 of `docs/eligibility.md`. A guard holds changes back; each held change is visible with its guard and its reason.

mod limits;
mod overrides;
mod removals;
mod suspicion;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::eligibility::{Class, Rule};
use crate::ids::{ListenerName, NodeName, NodeUid};
use crate::log::{Change, Phase};
use crate::membership::Membership;
use crate::mutant::{Mutant, planted};
use crate::time::human;

pub use limits::{Limits, Loss};
pub use overrides::{Override, OverrideChange, Overrides};
pub(crate) use removals::MEMORY;
pub use removals::Removals;
pub use suspicion::{SECOND_LOOK, Signs, Suspicion};

/// A guard, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// G0: nothing is taken out because of a view that may be wrong.
    Fresh,
    /// G1: the last active member stays.
    NeverEmpty,
    /// G2: half of those that served lately stay, whatever is observed.
    Half,
    /// G3: only so many go in five minutes.
    Velocity,
    /// G4: when everyone seems to fail, nobody goes.
    AllFailing,
    /// G5: a large drop that somebody seems to want is looked at twice.
    LargeDrop,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 6] =
        [Self::Fresh, Self::NeverEmpty, Self::Half, Self::Velocity, Self::AllFailing, Self::LargeDrop];

    /// The guard of this name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|guard| guard.name() == name);
        let names = || Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| format!("{name:?} is no guard; there are {}", names()))
    }

    /// Whether an operator may let through what it holds (`tidegate override`). An empty set is only ever served where the
    /// listener's configuration allows it.
    pub const fn can_be_overridden(self) -> bool {
        !matches!(self, Self::NeverEmpty)
    }

    /// The name in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::NeverEmpty => "never-empty",
            Self::Half => "half",
            Self::Velocity => "velocity",
            Self::AllFailing => "all-failing",
            Self::LargeDrop => "large-drop",
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How far the view of the cluster can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Since the last LIST that finished; absent: none has since the start.
    pub list_age: Option<Duration>,
    /// The age up to which the view is fresh (90 s when a resync comes every 60 s).
    pub limit: Duration,
    /// Whether it was fresh at some time since this process took over. What a stale view says then is at least news; before,
    /// it may be what the former leader has long undone.
    pub vouched: bool,
    /// Complete LISTs that have to succeed, after it was stale, before it is believed again.
    pub lists_wanted: u8,
}

impl Freshness {
    /// Why the view is frozen; nothing when it is fresh.
    pub fn problem(&self) -> Option<String> {
        self.problem_of("the nodes")
    }

    /// The same of another view, in its words.
    pub fn problem_of(&self, what: &str) -> Option<String> {
        match self.list_age {
            None => Some(format!("no complete LIST of {what} since the start")),
            Some(age) if age >= self.limit => {
                Some(format!("the last complete LIST of {what} is {} old (limit {})", human(age), human(self.limit)))
            }
            Some(_) => match self.lists_wanted {
                0 => None,
                1 => Some("the view was stale; one more complete LIST has to succeed".to_owned()),
                more => Some(format!("the view was stale; {more} more complete LISTs have to succeed")),
            },
        }
    }

    /// Complete LISTs that have to succeed once it was stale: one may be the last word of an API server that goes again.
    pub const CLEAN_LISTS: u8 = 2;
}

/// A change that a guard holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Which guard.
    pub guard: Guard,
    /// The node that stays as it is, for ever.
    pub uid: NodeUid,
    /// Its name.
    pub node: NodeName,
    /// What the table wanted.
    pub rule: Rule,
    /// Why not.
    pub reason: String,
    /// The one listener that it keeps carrying; absent: it is about the node.
    pub listener: Option<ListenerName>,
}

/// Everything that the guards look at besides the changes.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// What is recorded.
    pub before: &'a Membership,
    /// How far the view can be trusted.
    pub freshness: &'a Freshness,
    /// Who went involuntarily of late.
    pub removals: &'a Removals,
    /// What was suspicious of late.
    pub suspicion: &'a Suspicion,
    /// What operators let through.
    pub overrides: &'a Overrides,
    /// The time.
    pub now: Timestamp,
}

/// What the table wants, as far as the guards let it happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What may happen.
    pub passed: Vec<Change>,
    /// What is held.
    pub held: Vec<Hold>,
    /// What was suspicious.
    pub signs: Signs,
    /// When a guard lets go by time alone.
    pub wake_at: Option<Timestamp>,
}

/// Splits what the table wants into what may happen and what is held.
pub fn check(wanted: Vec<Change>, watch: &Watch<'_>) -> Checked {
    let limits = Limits { overridden: watch.overrides.standing(watch.now), ..Limits::default() };
    let mut checked = Checked { passed: wanted, ..Checked::default() };
    checked.fresh(watch, &limits);
    checked.large_drop(watch, &limits);
    checked.involuntary(watch, &limits);
    checked.never_empty(watch.before);
    let ends = watch.overrides.next_end(watch.now);
    checked.wake_at = [checked.wake_at, ends, watch.suspicion.next_look()].into_iter().flatten().min();
    checked
}

/// Whether a change takes traffic or connections away from a node.
fn takes_out(change: &Change) -> bool {
    change.phase() == Phase::Out || (change.from == Phase::Active && change.phase() == Phase::Draining)
}

impl Checked {
    /// G0: a view that may be wrong takes nobody out.
    fn fresh(&mut self, watch: &Watch<'_>, limits: &Limits) {
        let problem = watch.freshness.problem();
        let off = planted(Mutant::GuardFreshOff) || limits.overridden.contains(&Guard::Fresh);
        let Some(problem) = problem.filter(|_| !off) else { return };
        // A drain that began while the view was fresh ends on time; `gone` and involuntary ones do not.
        let vouched = watch.freshness.vouched;
        let rests = |c: &Change| rests_on_the_view(c) || !(vouched || c.from == Phase::Draining || is_ordered(c));
        let needs_fresh = |c: &Change| (takes_out(c) && rests(c)) || brings_back(c, watch.before);
        self.hold(needs_fresh, Guard::Fresh, &problem);
    }

    /// G5: a large drop that somebody seems to want is looked at twice; one that only says what we look at is confirmed by
    /// an operator.
    fn large_drop(&mut self, watch: &Watch<'_>, limits: &Limits) {
        let voluntary = |c: &Change| leaves(c) && c.rule.class() == Class::Voluntary && !is_ordered(c);
        let active = watch.before.active();
        let many = |n: usize| n * 2 > active && active > 1;
        let going: BTreeSet<NodeUid> = self.passed.iter().filter(|c| voluntary(c)).map(|c| c.uid.clone()).collect();
        if !many(going.len()) || limits.overridden.contains(&Guard::LargeDrop) {
            return;
        }
        let unlikely = self.passed.iter().filter(|c| voluntary(c) && only_says_what_we_look_at(c)).count();
        let reason = if many(unlikely) {
            let example = self.passed.iter().find(|c| voluntary(c) && only_says_what_we_look_at(c));
            let example = example.map(|c| format!(" ({}: {})", c.node, c.observation)).unwrap_or_default();
            format!("{} of {active} active nodes would go at once{example}", going.len())
        } else if watch.suspicion.has_confirmed(&going) {
            self.signs.large_drop = going;
            return;
        } else {
            let wait = human(SECOND_LOOK);
            format!(
                "{} of {active} active nodes would go at once; a second LIST, {wait} later, has to agree",
                going.len()
            )
        };
        self.signs.large_drop = going;
        self.hold(voluntary, Guard::LargeDrop, &reason);
    }

    /// G2 to G4: what is only observed takes a few out, never many.
    fn involuntary(&mut self, watch: &Watch<'_>, limits: &Limits) {
        let involuntary = |c: &Change| leaves(c) && c.rule.class() == Class::Involuntary;
        let falling = self.passed.iter().filter(|c| involuntary(c)).count();
        if falling == 0 {
            return;
        }
        let sent_away = self.passed.iter().filter(|c| leaves(c)).count() - falling;
        let (out, recent) = watch.removals.count(watch.now, limits.window);
        let base = watch.before.active().saturating_sub(sent_away) + out;
        let loss = Loss { base, out, recent, falling };
        self.signs.all_failing = loss.is_of_all();
        let ruling = limits.judge(loss, watch.suspicion.of_everyone());
        let Some((guard, reason)) = &ruling.held else { return };
        if *guard == Guard::Velocity {
            self.wake_at = watch.removals.next_out_of(watch.now, limits.window);
        }
        self.hold(ruling.stays(involuntary), *guard, reason);
    }

    /// G1: the last active member stays.
    fn never_empty(&mut self, before: &Membership) {
        let leaves_none = |changes: &[Change]| before.active() > 0 && before.with(changes).active() == 0;
        if !leaves_none(&self.passed) || planted(Mutant::GuardNeverEmptyOff) {
            return;
        }
        let reason = "no active node would be left";
        let involuntary = |c: &Change| leaves(c) && c.rule.class() == Class::Involuntary;
        self.hold(involuntary, Guard::NeverEmpty, reason);
        if leaves_none(&self.passed) {
            self.hold(leaves, Guard::NeverEmpty, reason);
        }
    }

    fn hold(&mut self, which: impl FnMut(&Change) -> bool, guard: Guard, reason: &str) {
        let (held, passed) = std::mem::take(&mut self.passed).into_iter().partition(which);
        let held: Vec<Change> = held;
        self.passed = passed;
        self.held.extend(held.into_iter().map(|c| Hold {
            guard,
            uid: c.uid,
            node: c.node,
            rule: c.rule,
            reason: reason.to_owned(),
            listener: None,
        }));
    }
}

/// Whether an active member gets no new connection any more.
fn leaves(change: &Change) -> bool {
    takes_out(change) && change.from == Phase::Active
}

/// Whether a change is wanted by nobody but our own configuration, or by an API server that forgot its nodes: asking again
/// says the same again.
fn only_says_what_we_look_at(change: &Change) -> bool {
    matches!(change.rule, Rule::OutsideSelector | Rule::Gone)
}

fn rests_on_the_view(change: &Change) -> bool {
    change.rule.class() == Class::Involuntary || (change.rule == Rule::Gone && change.from == Phase::Active)
}

/// Whether an operator wants it: that is recorded, and not observed.
fn is_ordered(change: &Change) -> bool {
    change.rule == Rule::Drained
}

/// Whether a change undoes what was decided with a fresh view: a stale one may not know of the deletion that sent the node
/// away (seed 932 of the simulation). An unready node that is Ready again was not sent away, and an order is not observed.
fn brings_back(change: &Change, before: &Membership) -> bool {
    let sent_away = |rule: Rule| rule.class() == Class::Voluntary && rule != Rule::Drained;
    change.phase() == Phase::Active
        && match change.from {
            Phase::Out => true,
            Phase::Draining => before.get(&change.uid).is_some_and(|member| sent_away(member.rule)),
            Phase::Active => false,
        }
}
