//! What the end of an apply does to the mailbox.

use std::sync::Arc;

use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::{ApplyReport, Failure, Outcome};
use tokio::time::Instant;

use super::{Finished, Mailbox, RETRY};
use crate::agent::job::Job;
use crate::agent::worker::Worker;

/// A state that will be tried again.
pub(super) struct Retry {
    /// The state.
    pub state: Arc<DesiredState>,
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
                self.retry = None;
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

    /// Shows a failure, and plans another attempt when that may help.
    pub(super) fn note_failure(&mut self, state: &Arc<DesiredState>, cause: &Failure) {
        self.board.failed(Some(state.position), cause.clone());
        if cause.class != ErrorClass::Transient {
            self.retry = None;
            return;
        }
        let before = self.retry.take().filter(|r| r.state.hash == state.hash);
        let failures = before.as_ref().map_or(0, |r| r.failures);
        // Somebody pushed again before the time came: the answer came from memory and was no attempt.
        let waiting = before.and_then(|r| r.at);
        let failures = if waiting.is_some() { failures } else { failures.saturating_add(1) };
        let at = waiting.unwrap_or_else(|| Instant::now() + RETRY.delay(failures));
        self.retry = Some(Retry { state: state.clone(), failures, at: Some(at) });
    }

    /// Turns a retry whose time has come into a pending job, unless a newer state is pending anyway.
    pub(super) fn start_retry(&mut self) {
        let due = |r: &&mut Retry| r.at.is_some_and(|at| at <= Instant::now());
        let Some(retry) = self.retry.as_mut().filter(due) else { return };
        retry.at = None;
        match &mut self.pending {
            // Whoever pushed it again gets the answer of the real attempt.
            Some(job) if job.state.position == retry.state.position => job.again = true,
            Some(_) => {}
            None => self.pending = Some(Job::new(retry.state.clone(), true)),
        }
    }
}
