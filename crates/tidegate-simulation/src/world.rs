//! Everything outside the controllers, in one place and under one lock: a step is a step.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::membership::Member;
use tidegate_core::time::after;
use tokio::time::Instant;

use crate::agent::Agent;
use crate::dice::{Concern, Dice};
use crate::kubernetes::Kubernetes;
use crate::oracle::{Moment, Oracle};
use crate::parties::{AgentId, ReplicaId};
use crate::pods::Pods;
use crate::settings::listeners;
use crate::store::Log;
use crate::trace::Trace;
use crate::weather::Weather;

/// When every run begins.
const EPOCH: i64 = 1_800_000_000;

/// The lock around [`State`], and the clock of the run.
#[derive(Debug)]
pub(crate) struct World {
    state: Mutex<State>,
    start: Instant,
}

/// What there is.
#[derive(Debug)]
pub(crate) struct State {
    start: Instant,
    pub(crate) trace: Trace,
    pub(crate) weather: Weather,
    pub(crate) network: Dice,
    pub(crate) cluster: Kubernetes,
    pub(crate) pods: Pods,
    pub(crate) log: Log,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) oracle: Oracle,
}

impl World {
    pub(crate) fn new(seed: u64, whole_trace: bool) -> Self {
        let start = Instant::now();
        let mut dice = Dice::new(seed, Concern::Agents);
        let count = 2 + u8::from(dice.one_in(2));
        let agents = (0..count).map(|n| (AgentId(n), Agent::new(dice.below(u64::MAX)))).collect();
        let state = State {
            start,
            trace: Trace::new(whole_trace),
            weather: Weather::default(),
            network: Dice::new(seed, Concern::Network),
            cluster: Kubernetes::default(),
            pods: Pods::default(),
            log: Log::default(),
            agents,
            oracle: Oracle::new(listeners()),
        };
        Self { state: Mutex::new(state), start }
    }

    /// One step of the world. Never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl State {
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The right time.
    pub(crate) fn wall(&self) -> Timestamp {
        wall_at(self.now())
    }

    /// The time by the clock of one controller.
    pub(crate) fn wall_of(&self, replica: ReplicaId) -> Timestamp {
        let error = jiff::SignedDuration::from_secs(self.weather.clock_error(replica));
        self.wall().saturating_add(error).unwrap_or(Timestamp::MAX)
    }

    /// Notes what happens.
    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let now = self.now();
        self.trace.note(now, what);
    }

    /// The oracle, and the moment that it is to judge.
    pub(crate) fn judge(&mut self) -> (&mut Oracle, Moment<'_>) {
        let now = self.now();
        (&mut self.oracle, Moment { now, trace: &mut self.trace })
    }

    /// Open connections to a member, over all load balancers.
    pub(crate) fn connections(&self, member: &Member) -> u64 {
        let now = self.now();
        // Its address may be another node's by now, and so are the connections there (seed 261).
        let own = |agent: &Agent, a| agent.backend_at(a).is_none_or(|backend| backend.node == member.node);
        let to = |agent: &Agent| {
            member.addresses.iter().filter(|a| own(agent, **a)).map(|a| agent.connections(*a, now)).sum::<u64>()
        };
        self.agents.values().map(to).sum()
    }
}

/// The right time, this long after the start.
pub(crate) fn wall_at(now: Duration) -> Timestamp {
    after(Timestamp::from_second(EPOCH).unwrap_or_default(), now)
}
