//! What the end of an apply does to the mailbox.

use std::sync::Arc;

use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::{ApplyReport, Failure, Outcome};
use tidegate_core::step::Step;
use tokio::time::Instant;

use super::{ENVIRONMENT, Finished, Mailbox, RETRY};
use crate::agent::job::Job;
use crate::agent::worker::Worker;

/// Another attempt at the newest state.
pub(super) struct Retry {
    /// Failures in a row.
    pub failures: u32,
    /// When; absent while it is being tried.
    pub at: Option<Instant>,
}

impl Mailbox {
    /// Takes the worker back.
    pub(super) fn finish(&mut self, finished: Finished) {
        match finished {
            Finished::Started { worker, result } => self.started(worker, result),
            Finished::KeptUp { worker } => self.put_back(worker),
            Finished::Audited { worker, audit } => self.audited(worker, audit),
            Finished::Applied { worker, done } => {
                if let Some(at) = done.reloaded_at {
                    self.pacer.started(at.saturating_duration_since(self.origin));
                    self.board.reloaded();
                }
                if let Some(job) = self.in_flight.take() {
                    self.conclude(job, &done.report, &worker);
                }
                self.put_back(worker);
            }
        }
    }

    /// Notes how a job ended and answers whoever waits for it.
    pub(super) fn conclude(&mut self, job: Job, report: &ApplyReport, worker: &Worker) {
        self.metrics.applied(report);
        let position = job.state.position;
        match &report.outcome {
            Outcome::Applied | Outcome::Unchanged => {
                tracing::info!(%position, result = report.outcome.as_str(), "desired state is live");
                if self.is_newest(&job.state) {
                    self.retry = None;
                }
                self.board.succeeded();
                if let Some(error) = &worker.snapshot_error {
                    self.board.failed(Some(position), error.as_failure());
                }
            }
            Outcome::RolledBack { cause } => {
                tracing::error!(%position, step = %cause.step, class = cause.class.as_str(), message = cause.message, cure = cause.cure, "rolled back");
                self.note_failure(&job.state, cause);
            }
            Outcome::RollbackFailed { cause, rollback_cause } => {
                tracing::error!(%position, message = cause.message, rollback = rollback_cause.message, "rolling back failed");
                self.note_failure(&job.state, cause);
            }
            Outcome::Superseded { .. } => {}
        }
        self.board.show(worker, self.admission.newest());
        job.answer(report);
    }

    /// Shows a failure, and plans another attempt when that may help. An older state is not tried again: the newest
    /// is on its way, or has failed itself.
    pub(super) fn note_failure(&mut self, state: &Arc<DesiredState>, cause: &Failure) {
        self.board.failed(Some(state.position), cause.clone());
        if !self.is_newest(state) {
            return;
        }
        // What the candidate is to blame for fails again until it changes: see `take_up_the_newest`.
        let before = self.retry.take();
        let wait = match (cause.class, cause.step) {
            (ErrorClass::Transient, _) => None,
            (_, Step::Swap) => Some(ENVIRONMENT),
            _ => return,
        };
        let failures = before.as_ref().map_or(0, |r| r.failures);
        // Somebody pushed again before the time came: the answer came from memory and was no attempt.
        let waiting = before.and_then(|r| r.at);
        let failures = if waiting.is_some() { failures } else { failures.saturating_add(1) };
        let at = waiting.unwrap_or_else(|| Instant::now() + wait.unwrap_or_else(|| RETRY.delay(failures)));
        self.retry = Some(Retry { failures, at: Some(at) });
    }

    /// Turns a retry whose time has come into a pending job.
    pub(super) fn start_retry(&mut self) {
        let due = |r: &&mut Retry| r.at.is_some_and(|at| at <= Instant::now());
        let Some(retry) = self.retry.as_mut().filter(due) else { return };
        retry.at = None;
        self.take_up_the_newest();
        // Whoever pushed it again gets the answer of the real attempt.
        if let Some(job) = &mut self.pending {
            job.again = true;
        }
    }

    fn is_newest(&self, state: &DesiredState) -> bool {
        self.newest.as_ref().is_none_or(|newest| newest.position <= state.position)
    }
}
