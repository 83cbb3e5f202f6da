//! What the agent says of itself, kept current by the mailbox.

use jiff::Timestamp;
use tidegate_core::position::Position;
use tidegate_core::protocol::{AgentStatus, EngineHealth, Failure, LastError, Live, LiveBackend};
use tokio::sync::watch;

use super::worker::{LiveContent, Worker};
use crate::engine::Pulse;

/// The status, for everyone to read.
pub struct Board {
    sender: watch::Sender<AgentStatus>,
}

impl Board {
    /// A first status, with a reader.
    pub fn new(engine: &str, engine_version: Option<String>) -> (Self, watch::Receiver<AgentStatus>) {
        let (sender, reader) = watch::channel(AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: engine.to_owned(),
            engine_version,
            health: EngineHealth::Idle,
            live: None,
            pending: None,
            last_error: None,
            backends: Vec::new(),
            reloads: 0,
            old_generations: 0,
        });
        (Self { sender }, reader)
    }

    /// What is live.
    pub fn live(&self) -> Option<Live> {
        self.sender.borrow().live
    }

    /// Takes over what a worker knows; `newest` is the newest admitted position.
    pub fn show(&self, worker: &Worker, newest: Option<Position>) {
        let live = worker.live.as_ref().map(LiveContent::live);
        self.sender.send_modify(|status| {
            status.live = live;
            status.pending = newest.filter(|n| live.is_none_or(|l| l.position < *n));
            status.backends = worker.live.as_ref().map(backends).unwrap_or_default();
        });
    }

    /// Takes over what a look at the engine found; readers are only woken when it differs.
    pub fn show_pulse(&self, pulse: &Pulse, expected: bool) {
        self.sender.send_if_modified(|status| {
            let before = (status.health.clone(), status.old_generations);
            match pulse {
                Pulse::Running { old_generations } => {
                    (status.health, status.old_generations) = (EngineHealth::Up, *old_generations);
                }
                Pulse::Down { .. } if !expected => (status.health, status.old_generations) = (EngineHealth::Idle, 0),
                Pulse::Down { reason } => {
                    let since = match &status.health {
                        EngineHealth::Down { since, .. } => *since,
                        _ => Timestamp::now(),
                    };
                    status.health = EngineHealth::Down { reason: reason.clone(), since };
                    status.old_generations = 0;
                }
            }
            before != (status.health.clone(), status.old_generations)
        });
    }

    /// Notes a failure.
    pub fn failed(&self, position: Option<Position>, failure: Failure) {
        let error = LastError { at: Timestamp::now(), position, failure };
        self.sender.send_modify(|status| status.last_error = Some(error));
    }

    /// Notes a success.
    pub fn succeeded(&self) {
        self.sender.send_if_modified(|status| status.last_error.take().is_some());
    }

    /// Notes that what no apply had caused is over.
    pub fn recovered(&self) {
        let of_no_apply = |error: &mut LastError| error.position.is_none();
        self.sender.send_if_modified(|status| status.last_error.take_if(of_no_apply).is_some());
    }

    /// Counts a reload.
    pub fn reloaded(&self) {
        self.sender.send_modify(|status| status.reloads += 1);
    }
}

/// Those that take new connections.
fn backends(live: &LiveContent) -> Vec<LiveBackend> {
    let pools = live.state.pools.iter();
    let active = pools.flat_map(|(listener, pool)| pool.iter().filter(|b| b.is_active()).map(move |b| (listener, b)));
    active
        .map(|(listener, b)| LiveBackend {
            listener: listener.clone(),
            node: b.node.clone(),
            address: b.address,
            connections: None,
        })
        .collect()
}
