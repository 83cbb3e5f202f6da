//! One controller's place: processes are started in it, stopped, killed and asked to end.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tidegate_controller::{ApiState, Controller, ControllerError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::edge::seams;
use crate::life::{Life, Pulse};
use crate::parties::{AgentId, ReplicaId};
use crate::settings::settings;
use crate::world::World;

/// A process that runs in a place.
#[derive(Debug)]
struct Process {
    life: Arc<Life>,
    shutdown: CancellationToken,
    task: JoinHandle<Option<Result<(), ControllerError>>>,
    asked_to_end: bool,
}

/// One controller's place.
pub(crate) struct Replica {
    id: ReplicaId,
    world: Arc<World>,
    starts: u32,
    process: Option<Process>,
    api: Option<ApiState>,
}

impl Replica {
    pub(crate) fn new(id: ReplicaId, world: Arc<World>) -> Self {
        Self { id, world, starts: 0, process: None, api: None }
    }

    /// Starts the real controller, which remembers nothing; not when one runs already.
    pub(crate) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.starts += 1;
        let life = Arc::new(Life::new(self.id, self.starts));
        self.note(format_args!("{} starts", life.holder));
        let caller = Caller { world: self.world.clone(), life: life.clone() };
        let agents: Vec<AgentId> = self.world.state().agents.keys().copied().collect();
        let seams = seams(&caller, agents.into_iter());
        let controller = Controller::new(settings(life.holder.clone()), seams, &mut Registry::default());
        self.api = Some(controller.api());
        let shutdown = CancellationToken::new();
        let (process, ends) = (life.clone(), shutdown.clone());
        let task = tokio::spawn(async move { process.live(Box::pin(controller.run(ends))).await });
        self.process = Some(Process { life, shutdown, task, asked_to_end: false });
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.note(format_args!("{} is killed", process.life.holder));
            process.life.set(Pulse::Dead);
            process.task.abort();
        }
        self.api = None;
    }

    /// SIGTERM; what is left of it at the next start is killed.
    pub(crate) fn terminate(&mut self) {
        if let Some(process) = &mut self.process {
            let holder = process.life.holder.clone();
            process.asked_to_end = true;
            process.shutdown.cancel();
            self.note(format_args!("{holder} is asked to end"));
        }
    }

    /// Kills what is left of a process that was asked to end; one that was not goes on.
    pub(crate) fn bury(&mut self) {
        if self.process.as_ref().is_some_and(|p| p.asked_to_end) {
            self.kill();
        }
    }

    /// SIGSTOP.
    pub(crate) fn stop(&self) {
        self.beat(Pulse::Stopped);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.beat(Pulse::Runs);
    }

    fn beat(&self, pulse: Pulse) {
        if let Some(process) = self.process.as_ref().filter(|p| p.life.pulse() != pulse) {
            self.note(format_args!("{}: {pulse:?}", process.life.holder));
            process.life.set(pulse);
        }
    }

    /// Whether the process has ended though nobody asked it to.
    pub(crate) fn has_quit(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.task.is_finished() && !p.asked_to_end)
    }

    /// Why the process has ended.
    pub(crate) async fn last_words(&mut self) -> String {
        match self.process.take() {
            Some(Process { life, task, .. }) => match task.await {
                Ok(None) => format!("{} turned in a circle, without that time went on", life.holder),
                end => format!("{} ended: {end:?}", life.holder),
            },
            None => String::new(),
        }
    }

    /// The process that may act at this moment, by the lease.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.process.as_ref().map(|p| p.life.holder.as_str())
    }

    /// What the process that runs, and is not stopped, says of itself.
    pub(crate) fn api(&self) -> Option<&ApiState> {
        let runs = self.process.as_ref().is_some_and(|p| p.life.pulse() == Pulse::Runs && !p.asked_to_end);
        self.api.as_ref().filter(|_| runs)
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        let mut state = self.world.state();
        let now = state.now();
        state.trace.note(now, what);
    }
}
