//! The log as this controller has written it: one entry at a time, each certain before the next.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::class::ErrorClass;
use tidegate_core::log::{Change, LogEntry, LogState};
use tidegate_core::position::{Position, Term};
use tidegate_core::status::Leader;
use tidegate_store::{Store, StoreError, commit};
use tracing::{info, warn};

use super::{ControllerError, Shared};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::retry::Retry;

/// A store that takes longer has not answered; whether it wrote is found out by trying again.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The one writer of the log.
pub(super) struct Record {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    holder: String,
    log: LogState,
    /// The newest term that is ours: what is written in a newer one is somebody else's.
    opened: Option<Term>,
    since: Timestamp,
    /// Written, but perhaps not recorded: it is tried again until that is certain.
    pending: Option<LogEntry>,
    retry: Retry,
    trouble: Option<String>,
}

impl Record {
    /// Reads the log and opens the next term; retries as long as the store only does not answer.
    pub(super) async fn open(shared: &Shared) -> Result<Self, ControllerError> {
        let mut retry = Retry::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let source = match Self::try_open(shared).await {
                Ok(record) => return Ok(record),
                Err(ControllerError::Open { source }) if source.class() == ErrorClass::Transient => source,
                // Somebody of an earlier term wrote between the reading and the writing.
                Err(ControllerError::Open { source: source @ StoreError::Taken { .. } }) => source,
                Err(error) => return Err(error),
            };
            let wait = retry.failed();
            if retry.is_first_failure() {
                warn!(%source, "the store cannot be opened; trying again");
            }
            shared.board.set_unready(format!("the store cannot be opened: {source}"));
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_open(shared: &Shared) -> Result<Self, ControllerError> {
        let open = |source| ControllerError::Open { source };
        let log = shared.store.load().await.map_err(open)?;
        let mut record = Self {
            store: shared.store.clone(),
            clock: shared.clock.clone(),
            metrics: shared.metrics.clone(),
            holder: shared.settings.holder.clone(),
            since: shared.clock.now(),
            log,
            opened: None,
            pending: None,
            retry: Retry::new(FIRST_WAIT, LONGEST_WAIT),
            trouble: None,
        };
        let entry = record.log.election(&record.holder, record.since);
        let outcome = commit(&*record.store, &entry).await;
        if let Err(error) = outcome {
            return Err(record.lost_race(error, &entry).await);
        }
        record.append(&entry)?;
        info!(position = %entry.position(), members = record.log.membership.members().len(), "term opened");
        Ok(record)
    }

    /// Where the log has arrived.
    pub(super) const fn position(&self) -> Position {
        self.log.position
    }

    /// What has been recorded.
    pub(super) const fn log(&self) -> &LogState {
        &self.log
    }

    /// Who decides.
    pub(super) fn leader(&self) -> Leader {
        Leader { holder: self.holder.clone(), term: self.log.position.term, is_self: true, since: self.since }
    }

    /// Why nothing can be recorded at the moment.
    pub(super) fn trouble(&self) -> Option<String> {
        self.pending.as_ref().and_then(|_| self.trouble.clone())
    }

    /// Whether an entry waits for the store.
    pub(super) const fn is_stuck(&self) -> bool {
        self.pending.is_some()
    }

    /// When the entry that waits should be tried again.
    pub(super) fn retry_at(&self) -> Option<tokio::time::Instant> {
        self.pending.as_ref().and_then(|_| self.retry.due())
    }

    /// Commits these changes; nothing when the store does not answer, and then the record is stuck.
    pub(super) async fn commit(&mut self, changes: Vec<Change>) -> Result<Option<LogEntry>, ControllerError> {
        let now = self.clock.now();
        self.pending = Some(self.log.next_entry(self.log.position.term, &self.holder, now, changes));
        self.flush().await
    }

    /// Opens this term, which must be higher than the present one.
    pub(super) async fn open_term(&mut self, term: Term) -> Result<Option<LogEntry>, ControllerError> {
        let now = self.clock.now();
        self.since = now;
        self.pending = Some(self.log.next_entry(term, &self.holder, now, Vec::new()));
        self.flush().await
    }

    /// Tries the entry that waits again, if its time has come.
    pub(super) async fn flush(&mut self) -> Result<Option<LogEntry>, ControllerError> {
        if !self.retry.is_due() {
            return Ok(None);
        }
        let Some(entry) = self.pending.take() else { return Ok(None) };
        let start = tokio::time::Instant::now();
        let limit = tokio::time::timeout(COMMIT_TIMEOUT, commit(&*self.store, &entry));
        let outcome = limit.await.unwrap_or_else(|_| {
            let detail = format!("no answer within {} s", COMMIT_TIMEOUT.as_secs());
            Err(StoreError::Unavailable { operation: "inserting a revision", detail })
        });
        match outcome {
            Ok(()) => {
                self.metrics.committed(start.elapsed());
                self.append(&entry)?;
                if self.retry.succeeded() {
                    info!(position = %entry.position(), "the store answers again");
                }
                Ok(Some(entry))
            }
            Err(error) if error.class() == ErrorClass::Transient => {
                self.keep_for_later(entry, &error);
                Ok(None)
            }
            Err(error) => self.reread(error, &entry).await.map(|()| None),
        }
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
            ControllerError::Open { source } if source.class() == ErrorClass::Conflict => source,
            ControllerError::Open { source } => return Err(ControllerError::Record { source }),
            other => return Err(other),
        };
        warn!(%source, "reading the log again");
        self.log = self.store.load().await.map_err(|source| ControllerError::Record { source })?;
        Ok(())
    }

    /// Names whoever has opened a newer term than ours, or the one that we meant to open.
    async fn lost_race(&self, error: StoreError, entry: &LogEntry) -> ControllerError {
        if !matches!(error.class(), ErrorClass::Conflict | ErrorClass::Fenced) {
            return ControllerError::Open { source: error };
        }
        let Ok(Some(newest)) = self.store.newest().await else { return ControllerError::Open { source: error } };
        let fenced = match self.opened {
            None => newest.term >= entry.term,
            Some(opened) => newest.term > opened,
        };
        if fenced {
            let (found, ours) = (newest.position(), self.log.position);
            return ControllerError::Fenced { holder: newest.holder, found, ours };
        }
        ControllerError::Open { source: error }
    }

    fn append(&mut self, entry: &LogEntry) -> Result<(), ControllerError> {
        self.log.append(entry).map_err(|source| ControllerError::Replay { source })?;
        self.opened = Some(entry.term);
        Ok(())
    }
}
