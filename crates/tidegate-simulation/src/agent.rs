//! A load balancer machine: the rules of admission are those of the real agent, and so is what it keeps over a restart.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::backoff::Backoff;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::{Backend, DesiredState};
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

/// How the real agent tries again what was rolled back.
const RETRY: Backoff = Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(60) };

/// What an agent and its engine are.
#[derive(Debug)]
pub(crate) struct Agent {
    dice: Dice,
    admission: Admission,
    live: Option<Arc<DesiredState>>,
    /// Of what was admitted: kept on its disk, and tried until it is live.
    newest: Option<Arc<DesiredState>>,
    /// Whether something is being tried again.
    is_tended: bool,
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
            newest: None,
            is_tended: false,
            turn: Arc::default(),
            boot: 0,
            reloads: 0,
            ends: BTreeMap::new(),
        }
    }

    /// A new process: position and content are on its disk, and its engine served on meanwhile.
    fn restart(&mut self) {
        self.boot += 1;
        self.is_tended = false;
        self.turn = Arc::default();
        self.reloads = 0;
    }

    pub(crate) fn live(&self) -> Option<&DesiredState> {
        self.live.as_deref()
    }

    /// What the engine has at this address.
    pub(crate) fn backend_at(&self, address: IpAddr) -> Option<&Backend> {
        self.live.iter().flat_map(|s| s.pools.values().flatten()).find(|b| b.address == address)
    }

    /// Open connections to this address.
    pub(crate) fn connections(&self, address: IpAddr, now: Duration) -> u64 {
        match self.backend_at(address) {
            None => 0,
            Some(backend) if backend.is_active() => BUSY,
            Some(_) => u64::from(self.ends.get(&address).is_some_and(|end| now < *end)),
        }
    }

    pub(crate) fn status(&self, now: Duration) -> AgentStatus {
        let backends = self.live.iter().flat_map(|s| s.pools.iter());
        let backends = backends.flat_map(|(listener, pool)| pool.iter().map(move |b| (listener, b)));
        let backend = |(listener, b): (&_, &Backend)| LiveBackend {
            listener: Clone::clone(listener),
            node: b.node.clone(),
            address: b.address,
            draining: !b.is_active(),
            connections: Some(self.connections(b.address, now)),
            set_aside: None,
            probe: None,
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
            probes: None,
            reload_budget: None,
        }
    }

    fn live_now(&self) -> Option<Live> {
        self.live.as_ref().map(|s| Live { position: s.position, hash: s.hash })
    }

    fn report(&self, outcome: Outcome) -> ApplyReport {
        ApplyReport { outcome, live: self.live_now(), timings: Vec::new() }
    }

    /// What was admitted last and is not live.
    fn unfinished(&self) -> Option<Arc<DesiredState>> {
        let live = self.live.as_ref().map(|live| live.position);
        self.newest.clone().filter(|newest| live < Some(newest.position))
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
    fn admit(&mut self, id: AgentId, state: &Arc<DesiredState>) -> Option<Result<(), Refusal>> {
        if self.weather.has(Fault::AgentDown { agent: id }) {
            return None;
        }
        let agent = self.agents.get_mut(&id)?;
        match agent.admission.admit(state) {
            Ok(_) => agent.newest = Some(state.clone()),
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
            let report = agent.report(Outcome::RolledBack { cause });
            self.note(format_args!("{id} rolls {} back", state.position));
            self.oracle.counts.roll_backs += 1;
            return Some(report);
        }
        let outcome = agent.go_live(state, now);
        let report = agent.report(outcome);
        let (oracle, mut moment) = self.judge();
        oracle.serves(&mut moment, id, state);
        Some(report)
    }

    /// What an agent's process still has to do; it is noted when that is nothing.
    fn left_to_do(&mut self, id: AgentId, boot: u32) -> Option<Arc<DesiredState>> {
        let agent = self.agents.get_mut(&id).filter(|agent| agent.boot == boot)?;
        let unfinished = agent.unfinished();
        agent.is_tended = unfinished.is_some();
        unfinished
    }
}

/// A state has reached an agent. No answer: its process ended meanwhile.
pub(crate) async fn receive(
    world: Arc<World>,
    id: AgentId,
    state: Arc<DesiredState>,
) -> Option<Result<ApplyReport, Refusal>> {
    let boot = {
        let mut world = world.state();
        if let Err(refusal) = world.admit(id, &state)? {
            return Some(Err(refusal));
        }
        world.agents.get(&id)?.boot
    };
    let report = apply(&world, id, boot, &state).await?;
    if matches!(report.outcome, Outcome::RolledBack { .. }) {
        tend(world, id);
    }
    Some(Ok(report))
}

/// A new process of an agent; it goes on with what the old one had left undone.
pub(crate) fn restart(world: &Arc<World>, id: AgentId) {
    world.state().agents.get_mut(&id).map(Agent::restart).unwrap_or_default();
    tend(world.clone(), id);
}

async fn apply(world: &Arc<World>, id: AgentId, boot: u32, state: &Arc<DesiredState>) -> Option<ApplyReport> {
    let turn = world.state().agents.get(&id)?.turn.clone();
    let _turn = turn.lock().await;
    let takes = {
        let mut world = world.state();
        let slow = world.weather.has(Fault::ApplySlow { agent: id });
        let agent = world.agents.get_mut(&id).filter(|agent| agent.boot == boot)?;
        match agent.begin(state, slow) {
            Ok(takes) => takes,
            Err(by) => return Some(agent.report(Outcome::Superseded { by })),
        }
    };
    sleep(takes).await;
    world.state().finish(id, boot, state)
}

/// Tries what was admitted last until it is live, by itself, as the real agent does.
fn tend(world: Arc<World>, id: AgentId) {
    let boot = {
        let mut world = world.state();
        let Some(agent) = world.agents.get_mut(&id).filter(|a| !a.is_tended) else { return };
        agent.is_tended = true;
        agent.boot
    };
    tokio::spawn(async move {
        for failures in 1.. {
            sleep(RETRY.delay(failures)).await;
            let Some(state) = world.state().left_to_do(id, boot) else { return };
            if apply(&world, id, boot, &state).await.is_none() {
                return;
            }
        }
    });
}
