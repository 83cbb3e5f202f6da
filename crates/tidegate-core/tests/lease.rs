//! Several candidates on one Lease, with every fault that a network, a scheduler and a clock can have.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use tidegate_core::lease::{Candidate, LeasePolicy, LeaseRecord, LeaseStep, LeaseWrite, Moment, SeenLease, Standing};

/// One step of true time, in milliseconds.
const TICK: u64 = 50;
/// A client gives up on an answer after this long.
const GIVE_UP: u64 = 4_000;
/// True time until which there are faults.
const FAULTS_END: u64 = 90_000;
/// How long the requests of a healthy network take there, and back.
const HEALTHY: Trip = Trip { there: TICK, back: TICK, lost: Lost::Nothing };

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lost {
    Nothing,
    Request,
    Answer,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
struct Trip {
    there: u64,
    back: u64,
    lost: Lost,
}

/// One process: how its clocks differ from the true time, and when it does not run.
#[derive(Clone, Debug)]
struct Machine {
    offset: u64,
    /// Parts of 10,000: at most 1 %.
    drift: i64,
    pauses: Vec<(u64, u64)>,
    /// Ends in order (its lease released) or dies, at this time.
    end: Option<(u64, bool)>,
}

#[derive(Clone, Debug)]
struct Scenario {
    machines: Vec<Machine>,
    trips: Vec<Trip>,
    /// What the wall clocks say, whenever one is read.
    walls: Vec<i64>,
}

fn trip() -> impl Strategy<Value = Trip> {
    let lost = prop_oneof![5 => Just(Lost::Nothing), 1 => Just(Lost::Request), 1 => Just(Lost::Answer)];
    // Long enough there that a write may win after its sender gave up, or after others waited for the lease.
    let there = prop_oneof![4 => 0..200_u64, 1 => 0..25_000_u64];
    let back = prop_oneof![4 => 0..200_u64, 1 => 0..8_000_u64];
    (there, back, lost).prop_map(|(there, back, lost)| Trip { there, back, lost })
}

fn machine() -> impl Strategy<Value = Machine> {
    let pauses = prop::collection::vec((0..FAULTS_END, 0..30_000_u64), 0..4);
    let end = prop::option::weighted(0.4, (0..FAULTS_END, any::<bool>()));
    (0..1_000_000_u64, -100..=100_i64, pauses, end).prop_map(|(offset, drift, pauses, end)| Machine {
        offset,
        drift,
        pauses,
        end,
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let machines = prop::collection::vec(machine(), 2..5);
    let trips = prop::collection::vec(trip(), 1..60);
    let walls = prop::collection::vec(-7_200..7_200_i64, 1..10);
    (machines, trips, walls).prop_map(|(mut machines, trips, walls)| {
        // Somebody lives on.
        machines[0].end = None;
        Scenario { machines, trips, walls }
    })
}

impl Machine {
    fn moment(&self, true_time: u64) -> Moment {
        let gone = i64::try_from(true_time).unwrap();
        Duration::from_millis(self.offset + u64::try_from(gone + gone * self.drift / 10_000).unwrap())
    }

    fn runs(&self, t: u64) -> bool {
        let ended = self.end.is_some_and(|(at, _)| t >= at);
        !ended && (t >= FAULTS_END || !self.pauses.iter().any(|(start, length)| (*start..start + length).contains(&t)))
    }
}

/// What a candidate has asked, until it knows the answer.
struct Flight {
    asked: LeaseStep,
    started: Moment,
    arrives: Option<u64>,
    answers: Option<u64>,
    gives_up: u64,
    answer: Option<Answer>,
}

enum Answer {
    Lease(Option<SeenLease>),
    Write(LeaseWrite),
}

/// A Lease with compare-and-set, and what is on its way to it.
struct World<'a> {
    scenario: &'a Scenario,
    policy: LeasePolicy,
    lease: Option<(LeaseRecord, u64)>,
    versions: u64,
    candidates: Vec<Candidate>,
    flights: Vec<Option<Flight>>,
    /// Writes whose sender has given up, or ended: they may still arrive.
    orphans: Vec<(u64, LeaseRecord, Option<String>)>,
    requests: usize,
    walls: usize,
    t: u64,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, policy: LeasePolicy) -> Self {
        let candidates: Vec<_> = (0..scenario.machines.len()).map(|i| Candidate::new(i.to_string(), policy)).collect();
        let flights = candidates.iter().map(|_| None).collect();
        let (lease, orphans) = (None, Vec::new());
        Self { scenario, policy, lease, versions: 0, candidates, flights, orphans, requests: 0, walls: 0, t: 0 }
    }

    fn leaders(&self) -> Vec<usize> {
        let leads = |i: &usize| {
            let (machine, candidate) = (&self.scenario.machines[*i], &self.candidates[*i]);
            let alive = machine.end.is_none_or(|(at, _)| self.t < at);
            alive && matches!(candidate.standing(machine.moment(self.t)), Standing::Leader { .. })
        };
        (0..self.candidates.len()).filter(leads).collect()
    }

    fn tick(&mut self) {
        self.t += TICK;
        self.orphans_arrive();
        for i in 0..self.candidates.len() {
            self.arrive(i);
            let machine = &self.scenario.machines[i];
            if machine.end.is_some_and(|(at, _)| (at..at + TICK).contains(&self.t)) {
                self.end(i);
            } else if machine.runs(self.t) {
                self.act(i, machine.moment(self.t));
            }
        }
    }

    fn wall(&mut self) -> Timestamp {
        let all = &self.scenario.walls;
        self.walls += 1;
        Timestamp::from_second(1_800_000_000 + all[self.walls % all.len()]).unwrap()
    }

    fn write(&mut self, record: LeaseRecord, version: Option<&str>) -> LeaseWrite {
        let current = self.lease.as_ref().map(|(_, version)| version.to_string());
        if current.as_deref() != version {
            return LeaseWrite::Conflict;
        }
        self.versions += 1;
        self.lease = Some((record, self.versions));
        LeaseWrite::Done(self.versions.to_string())
    }

    fn orphans_arrive(&mut self) {
        let (due, later) = std::mem::take(&mut self.orphans).into_iter().partition(|(at, ..)| *at <= self.t);
        self.orphans = later;
        let due: Vec<(u64, LeaseRecord, Option<String>)> = due;
        for (_, record, version) in due {
            self.write(record, version.as_deref());
        }
    }

    /// The request of this candidate reaches the Lease, if it is time.
    fn arrive(&mut self, i: usize) {
        let Some(mut flight) = self.flights[i].take() else { return };
        if flight.answer.is_none() && flight.arrives.is_some_and(|at| at <= self.t) {
            flight.answer = Some(if let LeaseStep::Write { record, version } = &flight.asked {
                Answer::Write(self.write(record.clone(), version.as_deref()))
            } else {
                let lease = self.lease.clone();
                Answer::Lease(lease.map(|(record, version)| SeenLease { record, version: version.to_string() }))
            });
        }
        self.flights[i] = Some(flight);
    }

    /// What a process does that ends: in order, it gives the lease up.
    fn end(&mut self, i: usize) {
        if let Some(flight) = self.flights[i].take() {
            self.abandon(flight);
        }
        let in_order = self.scenario.machines[i].end.is_some_and(|(_, in_order)| in_order);
        let wall = self.wall();
        if let Some((record, version)) = self.candidates[i].release(wall).filter(|_| in_order) {
            self.write(record, Some(&version));
        }
    }

    fn abandon(&mut self, flight: Flight) {
        if let (LeaseStep::Write { record, version }, None, Some(at)) = (flight.asked, flight.answer, flight.arrives) {
            self.orphans.push((at, record, version));
        }
    }

    fn act(&mut self, i: usize, now: Moment) {
        if let Some(flight) = self.flights[i].take() {
            if flight.answer.is_some() && flight.answers.is_some_and(|at| at <= self.t) {
                self.answered(i, flight, now);
            } else if self.t >= flight.gives_up {
                self.unanswered(i, flight, now);
            } else {
                self.flights[i] = Some(flight);
                return;
            }
        }
        let wall = self.wall();
        match self.candidates[i].next(now, wall) {
            LeaseStep::Wait(until) => assert!(until > now, "a wait for what is past"),
            asked => self.send(i, asked, now),
        }
    }

    fn send(&mut self, i: usize, asked: LeaseStep, started: Moment) {
        self.requests += 1;
        let trips = &self.scenario.trips;
        let trip = if self.t < FAULTS_END { trips[self.requests % trips.len()] } else { HEALTHY };
        let arrives = (trip.lost != Lost::Request).then_some(self.t + trip.there);
        let answers = arrives.filter(|_| trip.lost == Lost::Nothing).map(|at| at + trip.back);
        // When the faults end, nothing of them is left on its way.
        let cut = |at: u64| if self.t < FAULTS_END { at.min(FAULTS_END) } else { at };
        let (arrives, answers, gives_up) = (arrives.map(cut), answers.map(cut), cut(self.t + GIVE_UP));
        self.flights[i] = Some(Flight { asked, started, arrives, answers, gives_up, answer: None });
    }

    fn answered(&mut self, i: usize, flight: Flight, now: Moment) {
        let candidate = &mut self.candidates[i];
        match (flight.asked, flight.answer) {
            (LeaseStep::Write { record, .. }, Some(Answer::Write(result))) => {
                candidate.written(record, result, flight.started, now);
            }
            (_, Some(Answer::Lease(seen))) => candidate.read(seen, flight.started, now),
            _ => unreachable!("a read is answered by a Lease"),
        }
    }

    fn unanswered(&mut self, i: usize, flight: Flight, now: Moment) {
        match &flight.asked {
            LeaseStep::Write { record, .. } => {
                self.candidates[i].written(record.clone(), LeaseWrite::Failed, flight.started, now);
            }
            _ => self.candidates[i].unread(flight.started, now),
        }
        self.abandon(flight);
    }
}

/// What a run shows: who led when (each change), or that two did.
#[derive(Debug, PartialEq)]
enum Outcome {
    TwoLeaders { at: u64, leaders: Vec<usize> },
    Led(Vec<(u64, Option<usize>)>),
}

fn run(scenario: &Scenario, policy: LeasePolicy) -> Outcome {
    let mut world = World::new(scenario, policy);
    let mut led: Vec<(u64, Option<usize>)> = Vec::new();
    let until = FAULTS_END + millis(world.policy.lease_duration) * 2;
    while world.t < until {
        world.tick();
        let leaders = world.leaders();
        if leaders.len() > 1 {
            return Outcome::TwoLeaders { at: world.t, leaders };
        }
        if led.last().map(|(_, leader)| *leader) != Some(leaders.first().copied()) {
            led.push((world.t, leaders.first().copied()));
        }
    }
    Outcome::Led(led)
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap()
}

/// Whether somebody leads from some time before `limit` on, without a break.
fn settles_by(led: &[(u64, Option<usize>)], limit: u64) -> bool {
    led.last().is_some_and(|(since, leader)| leader.is_some() && *since <= limit)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn there_are_never_two_leaders_and_soon_after_the_faults_there_is_one(scenario in scenario()) {
        let policy = LeasePolicy::default();
        match run(&scenario, policy) {
            Outcome::TwoLeaders { at, leaders } => prop_assert!(false, "{leaders:?} both lead at {at} ms"),
            Outcome::Led(led) => {
                // The slowest clock, a request there and back, and the ticks of this model.
                let patience = millis(policy.lease_duration) * 101 / 100 + 2 * millis(policy.retry_period) + 10 * TICK;
                prop_assert!(settles_by(&led, FAULTS_END + patience), "{led:?}");
            }
        }
    }

    #[test]
    fn what_the_wall_clocks_say_changes_nothing(scenario in scenario(), walls in prop::collection::vec(-7_200..7_200_i64, 1..10)) {
        let jumping = Scenario { walls, ..scenario.clone() };
        prop_assert_eq!(run(&scenario, LeasePolicy::default()), run(&jumping, LeasePolicy::default()));
    }
}

/// Of 500 scenarios, always the same, how many show two leaders.
fn seen_with_two_leaders(policy: LeasePolicy) -> usize {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut next = || scenario().new_tree(&mut runner).unwrap().current();
    (0..500).filter(|_| matches!(run(&next(), policy), Outcome::TwoLeaders { .. })).count()
}

#[test]
fn a_deadline_as_long_as_the_lease_is_found_out() {
    let weakened = LeasePolicy { renew_deadline: Duration::from_secs(16), ..LeasePolicy::default() };
    assert!(seen_with_two_leaders(weakened) > 0, "else the property above could not fail");
    assert_eq!(seen_with_two_leaders(LeasePolicy::default()), 0);
}

#[cfg(feature = "mutants")]
#[test]
fn planted_bugs_of_the_election_are_found() {
    use tidegate_core::mutant::{Mutant, plant};
    for mutant in [Mutant::LeaderNeverExpires, Mutant::LeaseStolenEarly] {
        plant(Some(mutant));
        let found = seen_with_two_leaders(LeasePolicy::default());
        plant(None);
        assert!(found > 0, "{mutant:?} stays hidden");
    }
}
