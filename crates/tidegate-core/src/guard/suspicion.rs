//! What G4 and G5 have to remember of what was observed: it is over when complete LISTs have shown otherwise.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::NodeUid;
use crate::time::{after, elapsed};

/// Complete LISTs that have to agree before a mass failure is believed to be over.
const CLEAN: u8 = 2;
/// Between the two looks at a large drop.
pub const SECOND_LOOK: Duration = Duration::from_secs(5);

/// What a plan found suspicious.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// G4: everyone seems to fail.
    pub all_failing: bool,
    /// G5: more than half of the active members that somebody seems to want out in one step.
    pub large_drop: BTreeSet<NodeUid>,
}

/// The memory of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    /// Complete LISTs since the last plan in which everyone seemed to fail.
    clean: Option<u8>,
    /// Whether everyone seemed to fail in the last plan: then another LIST would say the same.
    is_failing: bool,
    drop: Option<Drop>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Drop {
    who: BTreeSet<NodeUid>,
    since: Timestamp,
    /// Whether a LIST that was complete long enough after `since` still said so.
    confirmed: bool,
}

impl Suspicion {
    /// G4: whether a mass failure is not over for certain.
    pub const fn of_everyone(&self) -> bool {
        self.clean.is_some()
    }

    /// G5: whether this drop has been looked at twice.
    pub fn has_confirmed(&self, who: &BTreeSet<NodeUid>) -> bool {
        self.drop.as_ref().is_some_and(|drop| drop.confirmed && who.is_subset(&drop.who))
    }

    /// Whether complete LISTs are waited for.
    pub fn wants_lists(&self) -> bool {
        (self.clean.is_some() && !self.is_failing) || self.drop.as_ref().is_some_and(|drop| !drop.confirmed)
    }

    /// When the second look may be taken.
    pub fn next_look(&self) -> Option<Timestamp> {
        self.drop.as_ref().filter(|drop| !drop.confirmed).map(|drop| after(drop.since, SECOND_LOOK))
    }

    /// Takes in what a plan found.
    pub fn take(&mut self, signs: &Signs, now: Timestamp) {
        self.is_failing = signs.all_failing;
        if signs.all_failing {
            self.clean = Some(0);
        }
        if signs.large_drop.is_empty() {
            self.drop = None;
        } else if self.drop.as_ref().is_none_or(|drop| !signs.large_drop.is_subset(&drop.who)) {
            self.drop = Some(Drop { who: signs.large_drop.clone(), since: now, confirmed: false });
        }
    }

    /// A LIST was complete; the plan that follows from it says whether things are as they were.
    pub fn listed(&mut self, now: Timestamp) {
        self.clean = self.clean.map(|clean| clean + 1).filter(|clean| *clean < CLEAN);
        if let Some(drop) = &mut self.drop {
            drop.confirmed |= elapsed(drop.since, now) >= SECOND_LOOK;
        }
    }
}
