//! What the agent says of itself, kept current by the mailbox.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::position::Position;
use tidegate_core::protocol::{
    AgentStatus, DriftOutcome, DriftReport, EngineHealth, Failure, LastError, Live, ReloadBudget,
};
use tokio::sync::watch;

use super::backends::backends;
use super::content::Content;
use super::probing::Findings;
use super::worker::{LiveContent, Worker};
use crate::connections::Connections;
use crate::engine::Pulse;

/// The status as it is posted, with what its details are made of for whoever asks.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Without backends.
    status: AgentStatus,
    /// What is served at [`AgentStatus::live`].
    pub serving: Option<Content>,
    findings: Option<Arc<Findings>>,
}

impl Posted {
    /// The whole status, with connections as far as they were counted.
    pub fn status(&self, counted: Option<&Connections>) -> AgentStatus {
        let findings = self.findings.as_deref();
        let backends = self.serving.as_ref().map(|c| backends(c, counted, findings)).unwrap_or_default();
        AgentStatus { backends, probes: findings.map(Findings::report), ..self.status.clone() }
    }
}

/// The status, for everyone to read.
pub struct Board {
    sender: watch::Sender<Posted>,
}

impl Board {
    /// A first status, with a reader.
    pub fn new(engine: &str, engine_version: Option<String>, floor: Duration) -> (Self, watch::Receiver<Posted>) {
        let status = AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: engine.to_owned(),
            engine_version,
            health: EngineHealth::Idle,
            live: None,
            pending: None,
            last_error: None,
            backends: Vec::new(),
            reloads: 0,
            reload_budget: budget(floor),
            old_generations: 0,
            drift: None,
            probes: None,
        };
        let (sender, reader) = watch::channel(Posted { status, serving: None, findings: None });
        (Self { sender }, reader)
    }

    /// What is live.
    pub fn live(&self) -> Option<Live> {
        self.sender.borrow().status.live
    }

    /// Takes over what a worker knows; `newest` is the newest admitted position.
    pub fn show(&self, worker: &Worker, newest: Option<Position>) {
        let live = worker.live.as_ref().map(LiveContent::live);
        let serving = worker.live.as_ref().map(|live| live.content.clone());
        self.sender.send_modify(|Posted { status, serving: posted, .. }| {
            status.live = live;
            status.pending = newest.filter(|n| live.is_none_or(|l| l.position < *n));
            *posted = serving;
        });
    }

    /// Takes over what the prober found out.
    pub fn found(&self, findings: Option<Arc<Findings>>) {
        self.sender.send_modify(|posted| posted.findings = findings);
    }

    /// Takes over what a look at the engine found; readers are only woken when it differs.
    pub fn show_pulse(&self, pulse: &Pulse, expected: bool) {
        self.sender.send_if_modified(|Posted { status, .. }| {
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
        self.sender.send_modify(|posted| posted.status.last_error = Some(error));
    }

    /// Notes a success.
    pub fn succeeded(&self) {
        self.sender.send_if_modified(|posted| posted.status.last_error.take().is_some());
    }

    /// Notes that what no apply had caused is over.
    pub fn recovered(&self) {
        let of_no_apply = |error: &mut LastError| error.position.is_none();
        self.sender.send_if_modified(|posted| posted.status.last_error.take_if(of_no_apply).is_some());
    }

    /// Notes a foreign change to what the engine serves.
    pub fn drifted(&self, how: String, outcome: DriftOutcome) {
        self.sender.send_modify(|posted| {
            let times = posted.status.drift.as_ref().map_or(0, |drift| drift.times) + 1;
            posted.status.drift = Some(DriftReport { at: Timestamp::now(), how, outcome, times });
        });
    }

    /// Counts a reload.
    pub fn reloaded(&self) {
        self.sender.send_modify(|Posted { status, .. }| {
            status.reloads += 1;
            if let Some(budget) = &mut status.reload_budget {
                budget.last = Some(Timestamp::now());
            }
        });
    }
}

/// An engine without a floor changes in place.
fn budget(floor: Duration) -> Option<ReloadBudget> {
    let min_interval_millis = u64::try_from(floor.as_millis()).unwrap_or(u64::MAX);
    (min_interval_millis > 0).then_some(ReloadBudget { min_interval_millis, last: None })
}
