//! Guards on the whole set: what the table wants for each node, checked against what must never happen.
//!
//! G0 to G5 of `docs/eligibility.md`. A guard holds changes back; each held change is visible with its guard and its reason.

mod limits;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::eligibility::{Class, Rule};
use crate::ids::NodeName;
use crate::log::{Change, Phase};
use crate::membership::Membership;
use crate::mutant::{Mutant, planted};
use crate::time::human;

pub use limits::Limits;

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
}

impl Freshness {
    /// Why the view is frozen; nothing when it is fresh.
    pub fn problem(&self) -> Option<String> {
        match self.list_age {
            None => Some("no complete LIST of the nodes since the start".to_owned()),
            Some(age) if age >= self.limit => {
                Some(format!("the last complete LIST of the nodes is {} old (limit {})", human(age), human(self.limit)))
            }
            Some(_) => None,
        }
    }
}

/// A change that a guard holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Which guard.
    pub guard: Guard,
    /// The node that stays as it is.
    pub node: NodeName,
    /// What the table wanted.
    pub rule: Rule,
    /// Why not.
    pub reason: String,
}

/// Splits what the table wants into what may happen and what is held.
pub fn check(wanted: Vec<Change>, before: &Membership, freshness: &Freshness) -> (Vec<Change>, Vec<Hold>) {
    let (passed, mut held) = check_fresh(wanted, before, freshness);
    let (passed, starving) = check_never_empty(passed, before);
    held.extend(starving);
    (passed, held)
}

/// Whether a change takes traffic or connections away from a node.
fn takes_out(change: &Change) -> bool {
    change.phase() == Phase::Out || (change.from == Phase::Active && change.phase() == Phase::Draining)
}

fn check_fresh(wanted: Vec<Change>, before: &Membership, freshness: &Freshness) -> (Vec<Change>, Vec<Hold>) {
    let Some(problem) = freshness.problem().filter(|_| !planted(Mutant::GuardFreshOff)) else {
        return (wanted, Vec::new());
    };
    // A drain that began while the view was fresh ends on time; `gone` and involuntary ones do not.
    let rests = |c: &Change| rests_on_the_view(c) || !(freshness.vouched || c.from == Phase::Draining || is_ordered(c));
    let needs_fresh = |c: &Change| (takes_out(c) && rests(c)) || brings_back(c, before);
    partition(wanted, needs_fresh, Guard::Fresh, &problem)
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

fn check_never_empty(wanted: Vec<Change>, before: &Membership) -> (Vec<Change>, Vec<Hold>) {
    let leaves_none = |changes: &[Change]| before.active() > 0 && before.with(changes).active() == 0;
    if !leaves_none(&wanted) || planted(Mutant::GuardNeverEmptyOff) {
        return (wanted, Vec::new());
    }
    let from_active = |c: &Change| takes_out(c) && c.from == Phase::Active;
    let reason = "no active node would be left";
    let involuntary = |c: &Change| from_active(c) && c.rule.class() == Class::Involuntary;
    let (passed, mut held) = partition(wanted, involuntary, Guard::NeverEmpty, reason);
    if !leaves_none(&passed) {
        return (passed, held);
    }
    let (passed, more) = partition(passed, from_active, Guard::NeverEmpty, reason);
    held.extend(more);
    (passed, held)
}

fn partition(
    wanted: Vec<Change>,
    hold: impl Fn(&Change) -> bool,
    guard: Guard,
    reason: &str,
) -> (Vec<Change>, Vec<Hold>) {
    let (held, passed): (Vec<Change>, Vec<Change>) = wanted.into_iter().partition(hold);
    let to_hold = |c: Change| Hold { guard, node: c.node, rule: c.rule, reason: reason.to_owned() };
    (passed, held.into_iter().map(to_hold).collect())
}
