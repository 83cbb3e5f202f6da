//! What one load balancer should have, what it is known to have, and so what to push next. No I/O.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::ids::LoadBalancerName;
use tidegate_core::mutant::{Mutant, planted};
use tidegate_core::position::Position;
use tidegate_core::protocol::{AgentStatus, ApplyReport, Failure, Live, Outcome, Refusal};
use tidegate_core::status::LoadBalancerError;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Publication;
use crate::publisher::PublishError;
use crate::retry::Retry;
use crate::status::Balancer;

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// What fails for good is tried again this rarely, in case a person has changed something over there.
const PERMANENT_WAIT: Duration = Duration::from_secs(60);
/// With nothing to retry, there is nothing to wake up for.
const NEVER: Duration = Duration::from_secs(3600);

/// What the loop should hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Another position is live.
    pub(super) live: Option<Position>,
    /// The agent has a position that this log does not lead up to.
    pub(super) ahead: Option<Position>,
    /// The agent has said what stands behind its listeners.
    pub(super) counted: bool,
}

/// The bookkeeping of one delivery.
#[derive(Debug)]
pub(super) struct Book {
    wanted: Publication,
    /// Pushed, and not answered yet.
    under_way: Vec<Position>,
    /// Admitted by the agent, by its own word, and not live yet.
    pending: Option<Position>,
    /// When the latest word about what is live came.
    live_known_at: Option<Instant>,
    retry: Retry,
    view: Balancer,
}

impl Book {
    pub(super) fn new(name: LoadBalancerName) -> Self {
        let retry = Retry::new(FIRST_WAIT, LONGEST_WAIT);
        let wanted = Publication::default();
        Self { wanted, under_way: Vec::new(), pending: None, live_known_at: None, retry, view: Balancer::new(name) }
    }

    pub(super) const fn view(&self) -> &Balancer {
        &self.view
    }

    /// Something newer is to be brought there, at once whatever happened to the older.
    pub(super) fn want(&mut self, publication: Publication) {
        if publication.tenure.is_none() {
            self.view.push_failed = None;
        }
        self.wanted = publication;
        self.retry.succeeded();
    }

    /// Whether this process may push at this moment.
    pub(super) fn may_push(&self) -> bool {
        self.wanted.may_push()
    }

    /// What to push now; it counts as under way.
    pub(super) fn next_push(&mut self) -> Option<Arc<DesiredState>> {
        let state = self.missing()?.clone();
        if self.under_way.contains(&state.position) || !self.retry.is_due() {
            return None;
        }
        self.under_way.push(state.position);
        Some(state)
    }

    /// When a push that failed may be tried again.
    pub(super) fn retry_at(&self) -> Instant {
        let waits = self.missing().is_some_and(|state| !self.under_way.contains(&state.position));
        self.retry.due().filter(|_| waits).unwrap_or_else(|| Instant::now() + NEVER)
    }

    /// Takes in the answer to a push.
    pub(super) fn pushed(
        &mut self,
        position: Position,
        result: Result<ApplyReport, PublishError>,
        now: Timestamp,
    ) -> News {
        self.under_way.retain(|p| *p != position || (result.is_err() && planted(Mutant::LostPushForgotten)));
        match result {
            Ok(report) => self.reported(position, report, now),
            Err(error) => self.refused(&error, now),
        }
    }

    /// Takes in the answer to a question for the status, which was sent at `started`.
    pub(super) fn asked(
        &mut self,
        started: Instant,
        result: Result<AgentStatus, PublishError>,
        now: Timestamp,
    ) -> News {
        let status = match result {
            Ok(status) => status,
            Err(error) => {
                self.cannot_be_asked(&error, now);
                return News::default();
            }
        };
        self.view.seen(now);
        if self.view.unreachable.take().is_some() {
            info!(lb = %self.view.name, "the load balancer answers again");
            self.retry.succeeded();
        }
        // A follower's log is a moment behind what the leader has published.
        let ahead = status.live.map(|l| l.position).max(status.pending);
        let ahead = ahead.filter(|p| *p > self.wanted.position && self.may_push());
        let mut news = News::default();
        // An answer that was under way when a push was acknowledged is older than that.
        if self.live_known_at.is_none_or(|known| known < started) {
            self.pending = status.pending;
            news = self.is_live(status.live, started);
        }
        if let Some(theirs) = ahead {
            self.note_ahead(theirs, now);
        }
        self.view.said = Some(Arc::new(status));
        News { ahead, ..news }
    }

    /// The state that is neither live nor on its way inside the agent.
    fn missing(&self) -> Option<&Arc<DesiredState>> {
        let state = self.wanted.state.as_ref()?;
        let wanted = Live { position: state.position, hash: state.hash };
        (self.view.live != Some(wanted) && self.pending != Some(state.position)).then_some(state)
    }

    fn reported(&mut self, position: Position, report: ApplyReport, now: Timestamp) -> News {
        self.view.seen(now);
        self.pending = self.pending.filter(|p| *p != position);
        let news = self.is_live(report.live, Instant::now());
        let (class, problem) = match report.outcome {
            Outcome::Superseded { by } => {
                let ahead = Some(by).filter(|by| *by > self.wanted.position);
                return News { ahead, ..news };
            }
            Outcome::Applied | Outcome::Unchanged if report.live.is_some_and(|l| l.position >= position) => {
                self.retry.succeeded();
                return news;
            }
            Outcome::Applied | Outcome::Unchanged => {
                let problem = "the agent says that it is live, and reports something else as live".to_owned();
                (ErrorClass::Transient, problem)
            }
            Outcome::RolledBack { cause } => (cause.class, describe(&cause, "what was live before is live now")),
            Outcome::RollbackFailed { cause, rollback_cause } => {
                let also = format!("going back failed too: {}", describe(&rollback_cause, "a person is needed"));
                (cause.class, describe(&cause, &also))
            }
        };
        self.push_failed(class, format!("{position}: {problem}"), now);
        news
    }

    fn refused(&mut self, error: &PublishError, now: Timestamp) -> News {
        if !self.may_push() {
            // Of an earlier tenure: whatever the agent has now, somebody else has brought it there.
            return News::default();
        }
        let theirs = match error {
            PublishError::Refused { refusal: Refusal::OlderPosition { current, .. }, .. } => Some(*current),
            PublishError::Refused { refusal: Refusal::ContentConflict { position, .. }, .. } => Some(*position),
            _ => None,
        };
        // An older push that came late is refused because a newer one of ours has arrived.
        let ahead = theirs.filter(|p| *p > self.wanted.position || self.is_wanted(*p));
        match ahead {
            Some(theirs) => self.note_ahead(theirs, now),
            None if theirs.is_none() => self.push_failed(error.class(), error.to_string(), now),
            None => {}
        }
        News { ahead, ..News::default() }
    }

    fn is_wanted(&self, position: Position) -> bool {
        self.wanted.state.as_ref().is_some_and(|state| state.position == position)
    }

    fn note_ahead(&mut self, theirs: Position, now: Timestamp) {
        let ours = self.wanted.position;
        self.push_failed(
            ErrorClass::Permanent,
            format!(
                "the load balancer has {theirs}, the store of this controller leads up to {ours}: the store was lost or \
                 restored from a backup, or another controller drives this load balancer; cure: the controller opens a \
                 higher term by itself, once after each start, when it has a complete LIST; if this stays, stop the other \
                 controller and restart this one"
            ),
            now,
        );
    }

    fn push_failed(&mut self, class: ErrorClass, message: String, now: Timestamp) {
        match class {
            ErrorClass::Transient => drop(self.retry.failed()),
            _ => self.retry.failed_for(PERMANENT_WAIT),
        }
        let known = self.view.push_failed.as_ref().is_some_and(|known| known.message == message);
        if !known {
            warn!(lb = %self.view.name, "{message}");
        }
        self.view.push_failed = Some(LoadBalancerError { at: now, message });
    }

    fn cannot_be_asked(&mut self, error: &PublishError, now: Timestamp) {
        let message = error.to_string();
        if self.view.unreachable.is_none() {
            warn!(lb = %self.view.name, "{message}");
        }
        let since = self.view.unreachable.take().map_or(now, |known| known.at);
        self.view.unreachable = Some(LoadBalancerError { at: since, message });
    }

    fn is_live(&mut self, live: Option<Live>, at: Instant) -> News {
        let changed = self.view.live != live;
        self.view.live = live;
        self.live_known_at = Some(at);
        if self.missing().is_none() {
            self.view.push_failed = None;
        }
        News { live: live.map(|l| l.position).filter(|_| changed), ..News::default() }
    }
}

fn describe(failure: &Failure, outcome: &str) -> String {
    let cure = if failure.cure.is_empty() { String::new() } else { format!("; cure: {}", failure.cure) };
    format!("{} failed: {} ({outcome}){cure}", failure.step, failure.message)
}
