//! The log as this controller knows it, and as its one writer while it leads: one entry at a time, each certain before
//! the next.

mod opening;

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::class::ErrorClass;
use tidegate_core::guard::Removals;
use tidegate_core::log::{Decision, LogEntry, LogState};
use tidegate_core::mutant::{Mutant, planted};
use tidegate_core::position::{Position, Term};
use tidegate_core::status::Leader;
use tidegate_store::{Store, StoreError, commit};
use tokio::time::Instant;
use tracing::{info, warn};

use super::ControllerError;
use super::limits::store_within;
use super::office::Tenure;
use super::tail::Tail;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::retry::Retry;

/// A store that takes longer has not answered; whether it wrote is found out by trying again.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The one reader of the log, and its one writer while this process leads.
pub(super) struct Record {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    holder: String,
    log: LogState,
    /// Who went involuntarily of late.
    removals: Removals,
    /// Who opened the term of the newest entry, as far as is known.
    author: Option<Leader>,
    /// Under which this process writes.
    tenure: Option<Tenure>,
    /// The newest term that is ours in this tenure: what is written in a newer one is somebody else's.
    opened: Option<Term>,
    /// Written, but perhaps not recorded: it is tried again until that is certain.
    pending: Option<LogEntry>,
    retry: Retry,
    trouble: Option<String>,
    /// What was read last did not follow from what was known: next time all of it is read.
    misfit: bool,
}

impl Record {
    /// Where the log has arrived.
    pub(super) const fn position(&self) -> Position {
        self.log.position
    }

    /// From where to read on; none: from the start.
    pub(super) fn known(&self) -> Option<Position> {
        (!self.misfit).then_some(self.log.position)
    }

    /// What has been recorded.
    pub(super) const fn log(&self) -> &LogState {
        &self.log
    }

    /// Who went involuntarily of late.
    pub(super) const fn removals(&self) -> &Removals {
        &self.removals
    }

    /// The tenure under which this process has opened a term, while it goes on.
    pub(super) fn tenure(&self) -> Option<&Tenure> {
        self.tenure.as_ref().filter(|_| self.opened.is_some()).filter(|tenure| may_write(tenure))
    }

    /// Whether this process decides at this moment.
    pub(super) fn leads(&self) -> bool {
        self.tenure().is_some()
    }

    /// Who decides, by the log; none before anybody did.
    pub(super) const fn author(&self) -> Option<&Leader> {
        self.author.as_ref()
    }

    /// Why nothing can be recorded, or read, at the moment.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    /// Whether an entry waits for the store.
    pub(super) const fn is_stuck(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether the Lease allows a write at this moment. Without it nothing is tried, and so nothing is due.
    fn may_write(&self) -> bool {
        self.tenure.as_ref().is_some_and(may_write)
    }

    /// When the entry that waits should be tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.pending.as_ref().filter(|_| self.may_write()).and_then(|_| self.retry.due())
    }

    /// Takes in what a follower has read; answers whether it was news.
    ///
    /// While an entry waits, nothing: it may be the very one that was read, and appended twice it would be a gap
    /// (seed 946 of the simulation). Its next try finds out.
    pub(super) fn absorb(&mut self, result: Result<Tail, StoreError>) -> bool {
        if self.is_stuck() {
            return false;
        }
        let was_in_trouble = self.trouble.is_some();
        match result {
            Ok(tail) => {
                if self.retry.succeeded() {
                    info!("the log can be read again");
                }
                self.trouble = None;
                self.take_in(tail) || was_in_trouble
            }
            Err(error) => {
                self.retry.failed();
                if self.retry.is_first_failure() {
                    warn!(%error, "the log cannot be read; trying again");
                }
                self.trouble = Some(format!("the log cannot be read: {error}"));
                !was_in_trouble
            }
        }
    }

    /// Stops writing; what was written and is not certain will be found by reading.
    pub(super) fn step_back(&mut self) {
        (self.tenure, self.opened, self.pending) = (None, None, None);
        self.retry.succeeded();
        self.trouble = None;
    }

    /// Commits this decision; nothing when the store does not answer (the record is stuck then) or the tenure is over.
    pub(super) async fn commit(&mut self, decision: Decision) -> Result<Option<LogEntry>, ControllerError> {
        let now = self.clock.now();
        self.pending = Some(self.log.next_entry(self.log.position.term, &self.holder, now, decision));
        self.flush().await
    }

    /// Tries the entry that waits again, if its time has come.
    pub(super) async fn flush(&mut self) -> Result<Option<LogEntry>, ControllerError> {
        if !self.retry.is_due() || !self.may_write() {
            return Ok(None);
        }
        let Some(entry) = self.pending.take() else { return Ok(None) };
        let start = Instant::now();
        let outcome = store_within(COMMIT_TIMEOUT, "inserting a revision", commit(&*self.store, &entry)).await;
        match outcome {
            Ok(()) => {
                self.metrics.committed(start.elapsed());
                self.append(&entry)?;
                self.trouble = None;
                if self.retry.succeeded() {
                    info!(position = %entry.position(), "the store answers again");
                }
                Ok(Some(entry))
            }
            Err(error) if error.class() == ErrorClass::Transient && planted(Mutant::LostAnswerIsSuccess) => {
                self.append(&entry)?;
                drop(error);
                Ok(Some(entry))
            }
            Err(error) if error.class() == ErrorClass::Transient => {
                self.keep_for_later(entry, &error);
                Ok(None)
            }
            Err(error) => self.reread(error, &entry).await.map(|()| None),
        }
    }

    /// What would be recorded if the entry that waits already were.
    pub(super) fn foreseen(&self) -> Option<LogState> {
        let mut log = self.log.clone();
        self.pending.as_ref().filter(|entry| log.append(entry).is_ok()).map(|_| log)
    }

    fn keep_for_later(&mut self, entry: LogEntry, error: &StoreError) {
        self.retry.failed();
        if self.retry.is_first_failure() {
            warn!(%error, position = %entry.position(), "a decision cannot be recorded; nothing new is published until it is");
        }
        self.trouble = Some(format!("the store does not answer ({error}): nothing new can be decided"));
        // The very same entry: if it was written after all, finding it again is success.
        self.pending = Some(entry);
    }

    /// Somebody else wrote first: ends with an error, or with the log as it is now.
    async fn reread(&mut self, error: StoreError, entry: &LogEntry) -> Result<(), ControllerError> {
        let source = match self.lost_race(error, entry).await {
            ControllerError::Record { source } if source.class() == ErrorClass::Conflict => source,
            other => return Err(other),
        };
        warn!(%source, "reading the log again");
        let tail = super::tail::whole(&*self.store).await.map_err(|source| ControllerError::Record { source })?;
        self.take_in(tail);
        Ok(())
    }

    /// Names whoever has opened a newer term than ours, or the one that we meant to open.
    async fn lost_race(&self, error: StoreError, entry: &LogEntry) -> ControllerError {
        let failed = |source| ControllerError::Record { source };
        if !matches!(error.class(), ErrorClass::Conflict | ErrorClass::Fenced) {
            return failed(error);
        }
        let Ok(Some(newest)) = self.store.newest().await else { return failed(error) };
        let fenced = match self.opened {
            None => newest.term >= entry.term,
            Some(opened) => newest.term > opened,
        };
        // An earlier try of this very process that came late is no rival.
        if fenced && newest.holder != self.holder {
            let (found, ours) = (newest.position(), self.log.position);
            return ControllerError::Fenced { holder: newest.holder, found, ours };
        }
        failed(error)
    }

    fn append(&mut self, entry: &LogEntry) -> Result<(), ControllerError> {
        self.log.append(entry).map_err(|source| ControllerError::Replay { source })?;
        self.opened = Some(entry.term);
        self.note(entry);
        Ok(())
    }

    /// Takes in what was read; a tail that does not fit is left for the next look, which reads everything.
    fn take_in(&mut self, tail: Tail) -> bool {
        match tail {
            Tail::Same => false,
            Tail::Entries(entries) => {
                for entry in &entries {
                    if let Err(error) = self.log.append(entry) {
                        warn!(%error, "what was read of the log does not follow; reading all of it");
                        self.misfit = true;
                        break;
                    }
                    self.note(entry);
                }
                true
            }
            Tail::Whole(log, newest) => {
                let changed = self.log != *log;
                (self.log, self.misfit) = (*log, false);
                if let Some(entry) = newest {
                    self.note(&entry);
                }
                changed
            }
        }
    }

    /// Remembers what an entry says besides its content.
    fn note(&mut self, entry: &LogEntry) {
        self.removals.note(entry);
        if self.author.as_ref().is_none_or(|author| author.term != entry.term) {
            let (holder, term, since) = (entry.holder.clone(), entry.term, entry.at);
            self.author = Some(Leader { holder, term, is_self: false, since });
        }
    }
}

/// Whether the Lease still allows a write.
fn may_write(tenure: &Tenure) -> bool {
    tenure.is_valid() || planted(Mutant::WriteWithoutLease)
}
