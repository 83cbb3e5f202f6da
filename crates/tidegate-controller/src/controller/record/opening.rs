//! How the log is first read, and how a term is opened.

use tidegate_core::class::ErrorClass;
use tidegate_core::guard::Removals;
use tidegate_core::log::{Decision, LogEntry};
use tidegate_core::mutant::{Mutant, planted};
use tidegate_core::position::Term;
use tidegate_store::{HistoryQuery, Store, StoreError};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{FIRST_WAIT, LONGEST_WAIT, Record};
use crate::controller::office::Tenure;
use crate::controller::tail::{Tail, read_tail};
use crate::controller::{ControllerError, Shared};
use crate::retry::Retry;

/// Entries that are read for [`Removals`]: more than a quiet cluster writes in 30 minutes, and a noisy one has few nodes that
/// stay out.
const REMEMBERED: usize = 512;

impl Record {
    /// Reads the log; retries as long as the store only does not answer.
    pub(in crate::controller) async fn read(shared: &Shared) -> Result<Self, ControllerError> {
        let mut retry = Retry::new(FIRST_WAIT, LONGEST_WAIT);
        let store = &*shared.store;
        loop {
            let source = match super::super::tail::whole(store).await {
                Ok(tail) => {
                    let mut record = Self::new(shared, tail);
                    record.remember(store).await;
                    return Ok(record);
                }
                Err(source) if source.class() == ErrorClass::Transient => source,
                Err(source) => return Err(ControllerError::Open { source }),
            };
            let wait = retry.failed();
            if retry.is_first_failure() {
                warn!(%source, "the store cannot be opened; trying again");
            }
            shared.board.set_unready(format!("the store cannot be opened: {source}"));
            sleep(wait).await;
        }
    }

    /// Reads what the guards have to remember. Without it they know of fewer removals, no reason not to start.
    async fn remember(&mut self, store: &dyn Store) {
        match store.history(&HistoryQuery { node: None, limit: REMEMBERED }).await {
            Ok(entries) => entries.iter().rev().for_each(|entry| self.removals.note(entry)),
            Err(error) => warn!(%error, "what was removed lately cannot be read; the guards begin anew"),
        }
    }

    fn new(shared: &Shared, tail: Tail) -> Self {
        let mut record = Self {
            store: shared.store.clone(),
            clock: shared.clock.clone(),
            metrics: shared.metrics.clone(),
            holder: shared.settings.holder.clone(),
            log: tidegate_core::log::LogState::default(),
            removals: Removals::default(),
            author: None,
            tenure: None,
            opened: None,
            pending: None,
            retry: Retry::new(FIRST_WAIT, LONGEST_WAIT),
            trouble: None,
            misfit: false,
        };
        record.take_in(tail);
        record
    }

    /// Opens the next term under this tenure; nothing when that has to be tried again.
    pub(in crate::controller) async fn open(&mut self, tenure: Tenure) -> Result<Option<LogEntry>, ControllerError> {
        if self.tenure.as_ref().is_none_or(|current| current.number() != tenure.number()) {
            self.step_back();
            self.tenure = Some(tenure);
        }
        if !self.retry.is_due() {
            return Ok(None);
        }
        if self.pending.is_none() {
            match read_tail(&*self.store, self.known()).await {
                Ok(tail) => drop(self.take_in(tail)),
                Err(error) => return self.cannot_open(error),
            }
            let now = self.clock.now();
            self.pending = Some(if planted(Mutant::TermNotRaised) {
                self.log.next_entry(self.log.position.term, &self.holder, now, Decision::default())
            } else {
                self.log.election(&self.holder, now)
            });
        }
        let opened = self.flush().await?;
        if let Some(entry) = &opened {
            info!(position = %entry.position(), members = self.log.membership.members().len(), "term opened");
        }
        Ok(opened)
    }

    /// Opens this term, which must be higher than the present one.
    pub(in crate::controller) async fn open_term(&mut self, term: Term) -> Result<Option<LogEntry>, ControllerError> {
        let now = self.clock.now();
        self.pending = Some(self.log.next_entry(term, &self.holder, now, Decision::default()));
        self.flush().await
    }

    /// When opening the term should be tried again.
    pub(in crate::controller) fn open_at(&self) -> Option<tokio::time::Instant> {
        self.retry.due().filter(|_| self.may_write() && self.opened.is_none())
    }

    fn cannot_open(&mut self, error: StoreError) -> Result<Option<LogEntry>, ControllerError> {
        if error.class() != ErrorClass::Transient {
            return Err(ControllerError::Open { source: error });
        }
        self.retry.failed();
        if self.retry.is_first_failure() {
            warn!(%error, "a term cannot be opened; trying again");
        }
        self.trouble = Some(format!("the store does not answer ({error}): nothing can be decided"));
        Ok(None)
    }
}
