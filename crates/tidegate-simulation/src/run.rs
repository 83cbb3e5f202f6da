//! One run: a world from one seed, half an hour of it, and the peace after it.

mod calm;
mod schedule;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::order::OrderKind;
use tokio::time::{Instant, sleep_until};

use crate::agent::restart;
use crate::count::Counts;
use crate::fault::Fault;
use crate::happening::Happening;
use crate::operator::{Wish, ask};
use crate::parties::{ReplicaId, Slot};
use crate::replica::Replica;
use crate::trace::Trace;
use crate::violation::{Invariant, Violation};
use crate::world::World;

use schedule::{Event, Schedule};

/// How long faults come.
pub(crate) const END: Duration = Duration::from_secs(1800);
/// How long the peace lasts, after which everything must be as if nothing had ever been wrong.
pub(crate) const PEACE: Duration = Duration::from_secs(100);

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// Of everything that happened, in its order: two runs of one seed have the same.
    pub digest: u64,
    /// How many things happened.
    pub steps: u64,
    /// How often what happened.
    pub counts: Counts,
    /// How often each fault made a difference.
    pub strikes: BTreeMap<&'static str, u64>,
    /// The end of the trace, or all of it.
    pub trace: Vec<String>,
}

/// Why a seed could not be run.
#[derive(Debug, Error)]
pub enum SimulationError {
    /// The runtime did not start.
    #[error("starting the runtime of a simulation: {source}; cure: check the limits of open files (ulimit -n)")]
    Runtime {
        /// Why.
        #[from]
        source: std::io::Error,
    },
    /// A seed goes on and on in real time, or broke off.
    #[error("seed {seed} does not end; cure: find out why: cargo xtask simulate --seed {seed}, and a debugger")]
    NoEnd {
        /// Which.
        seed: u64,
    },
}

impl SimulationError {
    /// Whether to try again.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Runtime { .. } => ErrorClass::Transient,
            Self::NoEnd { .. } => ErrorClass::Permanent,
        }
    }
}

/// Runs one seed on this thread. With `whole_trace` the report holds every event.
pub fn simulate(seed: u64, whole_trace: bool) -> Result<Report, SimulationError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let report = runtime.block_on(async {
        let mut run = Run::new(seed, whole_trace);
        run.play().await;
        run.report(seed)
    });
    Ok(report)
}

/// A run under way.
struct Run {
    world: Arc<World>,
    start: Instant,
    replicas: BTreeMap<ReplicaId, Replica>,
    schedule: Schedule,
}

impl Run {
    fn new(seed: u64, whole_trace: bool) -> Self {
        let world = Arc::new(World::new(seed, whole_trace));
        let replicas = ReplicaId::all().map(|id| (id, Replica::new(id, world.clone()))).collect();
        let agents = u8::try_from(world.state().agents.len()).unwrap_or(u8::MAX);
        Self { start: Instant::now(), world, replicas, schedule: Schedule::new(seed, agents) }
    }

    async fn play(&mut self) {
        while let Some((at, event)) = self.schedule.next() {
            sleep_until(self.start + at).await;
            self.perform(event).await;
            if self.world.state().trace.violation().is_some() {
                return;
            }
        }
    }

    async fn perform(&mut self, event: Event) {
        match event {
            Event::Begin(fault) => self.begin(fault),
            Event::End(fault) => self.end(fault),
            Event::Happens(happening) => self.happen(happening),
            Event::HappensToPods(happening) => self.world.state().happen_to_pods(happening),
            Event::Start(id) => self.at(id, Replica::start),
            Event::Peace => {
                let mut state = self.world.state();
                state.ensure_somebody_is_well();
                state.ensure_some_pod_is_ready();
            }
            Event::Look => self.look().await,
            Event::LastLook => self.look_at_the_end(),
        }
    }

    fn begin(&mut self, fault: Fault) {
        {
            let mut state = self.world.state();
            let now = state.now();
            state.trace.note(now, format_args!("begins: {fault:?}"));
            state.oracle.counts.faults += 1;
            state.weather.begin(fault, now);
        }
        match fault {
            Fault::WatchBreaks { replica } => self.world.state().break_watches(replica),
            Fault::AgentRestarts { agent } => restart(&self.world, agent),
            Fault::Kill { replica } => self.at(replica, Replica::kill),
            Fault::Terminate { replica } => self.at(replica, Replica::terminate),
            Fault::Pause { replica } => self.at(replica, |r| r.stop()),
            _ => {}
        }
    }

    fn end(&mut self, fault: Fault) {
        let now = self.world.now();
        {
            let mut state = self.world.state();
            state.trace.note(now, format_args!("ends: {fault:?}"));
            state.weather.end(fault, now);
        }
        let has = |fault| self.world.state().weather.lasts(fault);
        match fault {
            Fault::Kill { replica } | Fault::Terminate { replica }
                if !has(Fault::Kill { replica }) && !has(Fault::Terminate { replica }) =>
            {
                self.at(replica, |r| {
                    r.bury();
                    r.start();
                });
            }
            Fault::Pause { replica } if !has(fault) => self.at(replica, |r| r.resume()),
            _ => {}
        }
    }

    fn at(&mut self, id: ReplicaId, deed: impl FnOnce(&mut Replica)) {
        self.replicas.get_mut(&id).map(deed).unwrap_or_default();
    }

    fn happen(&mut self, happening: Happening) {
        {
            let mut state = self.world.state();
            let now = state.now();
            state.trace.note(now, format_args!("{happening:?}"));
            state.happen(happening);
        }
        if let Happening::Order(slot, kind) = happening {
            self.order(slot, kind);
        }
    }

    /// An operator asks one controller after the other until one says yes.
    fn order(&self, slot: Slot, kind: OrderKind) {
        let controllers = self.replicas.values().filter_map(Replica::api).cloned().collect();
        tokio::spawn(ask(self.world.clone(), Wish { slot, kind, controllers }));
    }

    fn accuse(&self, invariant: Invariant, detail: std::fmt::Arguments<'_>) {
        let mut state = self.world.state();
        let (_, mut moment) = state.judge();
        moment.accuse(invariant, detail);
    }

    fn report(&self, seed: u64) -> Report {
        let mut state = self.world.state();
        let (counts, strikes) = (state.oracle.counts, state.weather.strikes());
        let trace: &mut Trace = &mut state.trace;
        Report {
            seed,
            violation: trace.violation().cloned(),
            digest: trace.digest(),
            steps: trace.steps(),
            counts,
            strikes,
            trace: trace.take_lines(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, violation, steps, trace, .. } = self;
        match violation {
            None => return write!(f, "seed {seed}: every rule held in {steps} steps"),
            Some(Violation { invariant, detail, step, at }) => {
                writeln!(
                    f,
                    "seed {seed}: {invariant:?} broken at step {step}, after {:.3} s: {detail}",
                    at.as_secs_f64()
                )?;
            }
        }
        trace.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "again, and whole: cargo xtask simulate --seed {seed} --trace")
    }
}
