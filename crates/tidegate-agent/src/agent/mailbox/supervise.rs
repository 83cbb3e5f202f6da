//! Seeing that the engine runs, and starting it when it does not.

use std::time::Duration;

use tidegate_core::backoff::Backoff;
use tidegate_core::protocol::Failure;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Finished, Mailbox};
use crate::agent::audit::Audit;
use crate::agent::worker::Worker;
use crate::engine::Pulse;
use crate::file::{Found, Stamp};
use crate::settings::AuditSettings;

/// How soon a killed engine is noticed. One look reads three small files.
const EVERY: Duration = Duration::from_millis(200);
/// Waits between attempts to start an engine that does not come up.
const RESTART: Backoff = Backoff { first: Duration::from_millis(200), limit: Duration::from_secs(10) };

/// How often the engine's files are looked after, at most: also how often a failure of that is told.
const UPKEEP: Duration = Duration::from_secs(5);

/// When to look next.
#[derive(Debug)]
pub(super) struct Supervision {
    next: Instant,
    next_upkeep: Instant,
    next_audit: Instant,
    audit: AuditSettings,
    failures: u32,
}

impl Supervision {
    pub(super) fn starting(now: Instant, audit: AuditSettings) -> Self {
        Self { next: now + EVERY, next_upkeep: now, next_audit: now + audit.every, audit, failures: 0 }
    }

    pub(super) const fn next(&self) -> Instant {
        self.next
    }
}

impl Mailbox {
    /// Looks at the engine when it is time and nothing else is going on; starts it when it is gone.
    pub(super) fn supervise(&mut self) {
        let now = Instant::now();
        if self.supervision.next > now {
            return;
        }
        self.supervision.next = now + EVERY;
        let Some(mut worker) = self.idle.take() else { return };
        if self.look(&worker) {
            self.look_at_file(&worker);
            self.look_at_template(&worker);
            self.keep_up(worker);
            self.audit();
            return;
        }
        tracing::warn!(engine = worker.pipeline.engine.kind().as_str(), "the engine is gone and is started again");
        self.busy = Some(Box::pin(async move {
            let result = worker.bring_back().await;
            Finished::Started { worker, result }
        }));
    }

    /// Looks after the engine's own files when that is due.
    fn keep_up(&mut self, worker: Worker) {
        let now = Instant::now();
        let due = self.supervision.next_upkeep <= now;
        let broken_off = CancellationToken::new();
        let Some(work) = due.then(|| worker.pipeline.engine.upkeep(broken_off.clone())).flatten() else {
            self.idle = Some(worker);
            return;
        };
        self.supervision.next_upkeep = now + UPKEEP;
        self.upkeep = broken_off;
        self.busy = Some(Box::pin(async move {
            work.await;
            Finished::KeptUp { worker }
        }));
    }

    /// Asks the engine what it serves when that is due and nothing else is going on.
    fn audit(&mut self) {
        let now = Instant::now();
        if self.supervision.next_audit > now {
            return;
        }
        let Some(mut worker) = self.idle.take() else { return };
        self.supervision.next_audit = now + self.supervision.audit.every;
        let policy = self.supervision.audit.drift;
        self.busy = Some(Box::pin(async move {
            let audit = worker.audit(policy).await;
            Finished::Audited { worker, audit }
        }));
    }

    /// Tells what an audit found.
    pub(super) fn audited(&mut self, worker: Worker, audit: Audit) {
        if let Audit::Foreign { how, outcome, failure } = audit {
            let engine = worker.pipeline.engine.kind().as_str();
            tracing::warn!(engine, how, outcome = outcome.as_str(), "somebody else changed what the engine serves");
            self.metrics.drifted(outcome);
            self.board.drifted(how, outcome);
            if let Some(failure) = failure {
                tracing::error!(message = failure.message, cure = failure.cure, "the foreign change stays");
                self.board.failed(None, failure);
            }
        }
        self.put_back(worker);
    }

    /// Shows how the engine is; whether all is well.
    pub(super) fn look(&self, worker: &Worker) -> bool {
        let pulse = worker.pipeline.engine.pulse();
        let runs = matches!(pulse, Pulse::Running { .. });
        let expected = runs || worker.live.is_some() || !matches!(worker.pipeline.file.read(), Ok(Found::Absent));
        self.board.show_pulse(&pulse, expected);
        runs || !expected
    }

    /// Says so when somebody touched the live file, and when it is right again.
    fn look_at_file(&mut self, worker: &Worker) {
        match self.drift.look(worker) {
            None => {}
            Some(Ok(())) => self.board.recovered(),
            Some(Err(failure)) => {
                tracing::warn!(message = failure.message, "the live file is not what is live");
                self.board.failed(None, failure);
            }
        }
    }

    /// An edited template is rendered at once: a mistake is told while its author is still there.
    fn look_at_template(&mut self, worker: &Worker) {
        let stamp = worker.pipeline.engine.template().map(Stamp::of);
        if std::mem::replace(&mut self.template, stamp) != stamp {
            tracing::info!("the template was edited");
            self.take_up_the_newest();
        }
    }

    /// Notes how starting the engine ended.
    pub(super) fn started(&mut self, worker: Worker, result: Result<(), Failure>) {
        match result {
            Ok(()) => {
                self.supervision.failures = 0;
                self.supervision.next = Instant::now() + EVERY;
                self.board.recovered();
                tracing::info!(engine = worker.pipeline.engine.kind().as_str(), "the engine runs again");
            }
            Err(failure) => {
                self.supervision.failures = self.supervision.failures.saturating_add(1);
                self.supervision.next = Instant::now() + RESTART.delay(self.supervision.failures);
                tracing::error!(message = failure.message, cure = failure.cure, "the engine cannot be started");
                self.board.failed(None, failure);
            }
        }
        self.put_back(worker);
    }
}
