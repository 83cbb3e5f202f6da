//! A load balancer machine: the rules of admission are those of the real agent, and so is what it keeps over a restart.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::mutant::{Mutant, planted};
use tidegate_core::position::Position;
use tidegate_core::protocol::{AgentStatus, ApplyReport, EngineHealth, Failure, Live, LiveBackend, Outcome, Refusal};
use tidegate_core::step::Step;
use tidegate_core::webhook::Admission;
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::dice::{Concern, Dice};
use crate::fault::Fault;
use crate::oracle::cluster;
use crate::parties::AgentId;
use crate::world::{State, World};

/// Connections to a node that takes new ones.
const BUSY: u64 = 3;

/// What an agent and its engine are.
#[derive(Debug)]
pub(crate) struct Agent {
    dice: Dice,
    admission: Admission,
    live: Option<Arc<DesiredState>>,
    /// One apply at a time, in the order in which states came.
    turn: Arc<Mutex<()>>,
    /// Counts its starts: what an earlier process had begun ends nowhere.
    boot: u32,
    reloads: u64,
    /// When the last connection ends to an address that takes no new ones.
    ends: BTreeMap<IpAddr, Duration>,
}

impl Agent {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, Concern::Agents),
            admission: Admission::new(Some(cluster())),
            live: None,
            turn: Arc::default(),
            boot: 0,
            reloads: 0,
            ends: BTreeMap::new(),
        }
    }

    /// A new process: position and content are on its disk, and its engine served on meanwhile.
    pub(crate) fn restart(&mut self) {
        self.boot += 1;
        self.turn = Arc::default();
        self.reloads = 0;
    }

    pub(crate) fn live(&self) -> Option<&DesiredState> {
        self.live.as_deref()
    }

    /// Open connections to this address.
    pub(crate) fn connections(&self, address: IpAddr, now: Duration) -> u64 {
        let pool = self.live.iter().flat_map(|s| s.pools.values().flatten());
        let backend = pool.into_iter().find(|b| b.address == address);
        match backend {
            None => 0,
            Some(backend) if backend.is_active() => BUSY,
            Some(_) => u64::from(self.ends.get(&address).is_some_and(|end| now < *end)),
        }
    }

    pub(crate) fn status(&self, now: Duration) -> AgentStatus {
        let backends = self.live.iter().flat_map(|s| s.pools.iter());
        let backends = backends.flat_map(|(listener, pool)| pool.iter().map(move |b| (listener, b)));
        let backend = |(listener, b): (&_, &tidegate_core::desired::Backend)| LiveBackend {
            listener: Clone::clone(listener),
            node: b.node.clone(),
            address: b.address,
            draining: !b.is_active(),
            connections: Some(self.connections(b.address, now)),
        };
        let live = self.live_now();
        AgentStatus {
            version: "0".into(),
            engine: "simulated".into(),
            engine_version: None,
            health: EngineHealth::Up,
            live,
            pending: self.admission.newest().filter(|newest| live.is_none_or(|l| l.position < *newest)),
            last_error: None,
            backends: backends.map(backend).collect(),
            reloads: self.reloads,
            old_generations: 0,
            drift: None,
        }
    }

    fn live_now(&self) -> Option<Live> {
        self.live.as_ref().map(|s| Live { position: s.position, hash: s.hash })
    }

    fn report(&self, outcome: Outcome) -> ApplyReport {
        ApplyReport { outcome, live: self.live_now(), timings: Vec::new() }
    }

    /// How long an apply of this state takes; or the newer position that keeps it from being begun.
    fn begin(&mut self, state: &DesiredState, slow: bool) -> Result<Duration, Position> {
        if let Some(newest) = self.admission.newest().filter(|n| *n > state.position)
            && !planted(Mutant::AgentTakesOlder)
        {
            return Err(newest);
        }
        Ok(if slow { self.dice.millis(1000, 9000) } else { self.dice.millis(10, 300) })
    }

    fn go_live(&mut self, state: &Arc<DesiredState>, now: Duration) -> Outcome {
        let same = self.live.as_ref().is_some_and(|live| live.hash == state.hash);
        let active = |s: &DesiredState, a: IpAddr| s.pools.values().flatten().any(|b| b.address == a && b.is_active());
        for backend in state.pools.values().flatten().filter(|b| !b.is_active()) {
            let was_active = self.live.as_ref().is_some_and(|live| active(live, backend.address));
            if was_active || !self.ends.contains_key(&backend.address) {
                self.ends.insert(backend.address, now + self.dice.seconds(0, 50));
            }
        }
        self.live = Some(state.clone());
        self.reloads += u64::from(!same);
        if same { Outcome::Unchanged } else { Outcome::Applied }
    }
}

impl State {
    fn admit(&mut self, id: AgentId, state: &DesiredState) -> Option<Result<(), Refusal>> {
        if self.weather.has(Fault::AgentDown { agent: id }) {
            return None;
        }
        let agent = self.agents.get_mut(&id)?;
        match agent.admission.admit(state) {
            Ok(_) => {}
            Err(Refusal::OlderPosition { .. }) if planted(Mutant::AgentTakesOlder) => {}
            Err(refusal) => {
                let old = matches!(refusal, Refusal::OlderPosition { .. });
                let (oracle, mut moment) = self.judge();
                moment.note(format_args!("{id} refuses {}: {}", state.position, refusal.as_str()));
                oracle.counts.old_positions_refused_by_agents += u64::from(old);
                return Some(Err(refusal));
            }
        }
        let (oracle, mut moment) = self.judge();
        oracle.admits(&mut moment, id, state);
        Some(Ok(()))
    }

    fn finish(&mut self, id: AgentId, boot: u32, state: &Arc<DesiredState>) -> Option<ApplyReport> {
        let now = self.now();
        let fails = self.weather.has(Fault::ApplyFails { agent: id });
        let agent = self.agents.get_mut(&id).filter(|agent| agent.boot == boot)?;
        if fails {
            let (class, step) = (ErrorClass::Transient, Step::Reload);
            let cause = Failure { step, class, message: "injected".into(), cure: String::new() };
            return Some(agent.report(Outcome::RolledBack { cause }));
        }
        let outcome = agent.go_live(state, now);
        let report = agent.report(outcome);
        let (oracle, mut moment) = self.judge();
        oracle.serves(&mut moment, id, state);
        Some(report)
    }
}

/// A state has reached an agent. No answer: its process ended meanwhile.
pub(crate) async fn receive(
    world: Arc<World>,
    id: AgentId,
    state: Arc<DesiredState>,
) -> Option<Result<ApplyReport, Refusal>> {
    let (turn, boot) = {
        let mut world = world.state();
        if let Err(refusal) = world.admit(id, &state)? {
            return Some(Err(refusal));
        }
        let agent = world.agents.get(&id)?;
        (agent.turn.clone(), agent.boot)
    };
    let _turn = turn.lock().await;
    let takes = {
        let mut world = world.state();
        let slow = world.weather.has(Fault::ApplySlow { agent: id });
        let agent = world.agents.get_mut(&id).filter(|agent| agent.boot == boot)?;
        match agent.begin(&state, slow) {
            Ok(takes) => takes,
            Err(by) => return Some(Ok(agent.report(Outcome::Superseded { by }))),
        }
    };
    sleep(takes).await;
    let report = world.state().finish(id, boot, &state)?;
    Some(Ok(report))
}
