//! Everything that a seed has decided beforehand, in the order of its time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::dice::{Concern, Dice};
use crate::fault::{Fault, plan_faults};
use crate::happening::{Happening, plan_happenings};
use crate::parties::ReplicaId;
use crate::pods::{PodHappening, plan_pods};

use super::{END, PEACE};

/// Faults do not begin before everything has run for a while.
const FIRST_FAULT: Duration = Duration::from_secs(45);
/// How often somebody looks whether all is well.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Something that is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Start(ReplicaId),
    Begin(Fault),
    End(Fault),
    Happens(Happening),
    HappensToPods(PodHappening),
    /// Faults are over.
    Peace,
    Look,
    LastLook,
}

/// What is still to come.
#[derive(Debug)]
pub(super) struct Schedule {
    events: BTreeMap<(Duration, u32), Event>,
    count: u32,
}

impl Schedule {
    pub(super) fn new(seed: u64, agents: u8) -> Self {
        let mut schedule = Self { events: BTreeMap::new(), count: 0 };
        for happening in plan_happenings(&mut Dice::new(seed, Concern::Cluster), END) {
            schedule.add(happening.0, Event::Happens(happening.1));
        }
        for (at, happening) in plan_pods(&mut Dice::new(seed, Concern::Pods), END) {
            schedule.add(at, Event::HappensToPods(happening));
        }
        for id in ReplicaId::all() {
            schedule.add(Duration::from_millis(100 * u64::from(id.0)), Event::Start(id));
        }
        for spell in plan_faults(&mut Dice::new(seed, Concern::Faults), agents, FIRST_FAULT, END) {
            schedule.add(spell.from, Event::Begin(spell.fault));
            schedule.add(spell.until, Event::End(spell.fault));
        }
        schedule.add(END, Event::Peace);
        let mut at = LOOK_EVERY;
        while at < END + PEACE {
            schedule.add(at, Event::Look);
            at += LOOK_EVERY;
        }
        schedule.add(END + PEACE, Event::LastLook);
        schedule
    }

    /// What is next, and when.
    pub(super) fn next(&mut self) -> Option<(Duration, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }

    fn add(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }
}
