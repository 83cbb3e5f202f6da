//! Takes part in the election: carries out what [`Candidate`] wants done about the Lease, and tells the loop.

mod rivalry;
mod roster;

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::lease::{Candidate, LeaseRecord, LeaseStep, LeaseWrite, Moment, SeenLease, Standing as Elected};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::Shared;
use super::limits::api_within;
use super::office::{Notice, Office, Standing};
use crate::clock::Clock;
use crate::lease_client::LeaseClient;
use crate::retry::Retry;
use crate::source::ApiFailure;

use rivalry::Rivalry;
pub(super) use roster::Roster;

/// Notices that may wait: the loop gives one and then waits for what comes of it.
const NOTICES: usize = 4;

/// Tries to give the Lease up at the end; without success the others wait for it to run out.
const RESIGN_TRIES: usize = 3;

/// How a step about the Lease ended.
enum Done {
    Waited,
    Read(Result<Option<SeenLease>, ApiFailure>),
    Wrote(LeaseRecord, Result<LeaseWrite, ApiFailure>),
}

/// One replica's part in the election.
pub(super) struct Elector {
    client: Arc<dyn LeaseClient>,
    clock: Arc<dyn Clock>,
    holder: String,
    candidate: Candidate,
    /// Where the moments of the candidate are counted from.
    origin: Instant,
    /// A call that takes longer has failed: the next one must have a chance before the renew deadline.
    call_limit: Duration,
    standing: watch::Sender<Standing>,
    notices: mpsc::Receiver<Notice>,
    rivalry: Rivalry,
    /// Of this process, so far.
    tenures: u64,
    retry: Retry,
}

impl Elector {
    /// A candidate, and the office that it runs for.
    pub(super) fn new(shared: &Shared, client: Arc<dyn LeaseClient>) -> (Self, Office) {
        let (standing, office) = watch::channel(Standing::default());
        let (notice, notices) = mpsc::channel(NOTICES);
        let policy = shared.settings.lease;
        let holder = shared.settings.holder.clone();
        let elector = Self {
            client,
            clock: shared.clock.clone(),
            candidate: Candidate::new(holder.clone(), policy),
            holder,
            origin: Instant::now(),
            call_limit: (policy.renew_deadline / 2).max(policy.retry_period),
            standing,
            notices,
            rivalry: Rivalry::new(policy.lease_duration),
            tenures: 0,
            retry: Retry::new(policy.retry_period, policy.retry_period),
        };
        (elector, Office::elected(office, notice))
    }

    /// Runs until this process gives the Lease up.
    pub(super) async fn run(mut self) {
        let mut vacancies = self.client.vacancies();
        loop {
            self.tell();
            let started = self.moment();
            let step = self.next(started);
            let waits = matches!(step, LeaseStep::Wait(_));
            let work = carry_out(self.client.clone(), step, self.origin, self.call_limit);
            tokio::select! {
                biased;
                Some(notice) = self.notices.recv() => match notice {
                    Notice::Deposed { by } => self.deposed(&by),
                    Notice::Resign { done } => {
                        self.resign().await;
                        drop(done);
                        return;
                    }
                },
                // Others' candidates wait for the same word: who reads first may write first.
                Some(()) = vacancies.recv(), if waits => self.look().await,
                done = work => self.take(done, started),
            }
        }
    }

    fn moment(&self) -> Moment {
        self.origin.elapsed()
    }

    fn next(&self, now: Moment) -> LeaseStep {
        match self.candidate.next(now, self.clock.now()) {
            LeaseStep::Write { .. } if self.rivalry.rests_until() > Some(self.origin + now) => {
                LeaseStep::Wait(self.rivalry.rests_until().map_or(now, |at| at - self.origin))
            }
            step => step,
        }
    }

    fn take(&mut self, done: Done, started: Moment) {
        let now = self.moment();
        match done {
            Done::Waited => {}
            Done::Read(Ok(seen)) => {
                self.answered();
                self.candidate.read(seen, started, now);
            }
            Done::Read(Err(error)) => {
                self.failed(&error);
                self.candidate.unread(started, now);
            }
            Done::Wrote(record, result) => {
                let result = result.unwrap_or_else(|error| {
                    self.failed(&error);
                    LeaseWrite::Failed
                });
                if result != LeaseWrite::Failed {
                    self.answered();
                }
                self.candidate.written(record, result, started, now);
            }
        }
    }

    /// Reads at once.
    async fn look(&mut self) {
        let started = self.moment();
        let done = carry_out(self.client.clone(), LeaseStep::Read, self.origin, self.call_limit).await;
        self.take(done, started);
    }

    fn failed(&mut self, error: &ApiFailure) {
        self.retry.failed();
        if self.retry.is_first_failure() {
            warn!(%error, "the Lease cannot be read or written; trying again");
        }
    }

    fn answered(&mut self) {
        if self.retry.succeeded() {
            info!("the Lease can be read and written again");
        }
    }

    /// Publishes where this process stands.
    fn tell(&mut self) {
        let before = self.standing.borrow().clone();
        let standing = match self.candidate.standing(self.moment()) {
            Elected::Follower { leader } => Standing { tenure: None, leader },
            Elected::Leader { until } => {
                let until = self.origin + until;
                // A tenure that ran out before it was renewed is over: somebody else may have led meanwhile.
                let unbroken = before.tenure.filter(|(_, end)| end.is_none_or(|end| Instant::now() < end));
                self.tenures += u64::from(unbroken.is_none());
                Standing { tenure: Some((self.tenures, Some(until))), leader: Some(self.holder.clone()) }
            }
        };
        let told = |s: &Standing| (s.tenure.is_some(), s.leader.clone());
        if told(&before) != told(&standing) {
            let leader = standing.leader.as_deref().unwrap_or("nobody");
            info!(leads = standing.tenure.is_some(), leader, "election");
        }
        if before != standing {
            self.standing.send_replace(standing);
        }
    }

    fn deposed(&mut self, by: &str) {
        self.candidate.step_down();
        self.rivalry.deposed(by);
    }

    async fn resign(&mut self) {
        let leads = matches!(self.candidate.standing(self.moment()), Elected::Leader { .. });
        // A renewal that was under way may have made the known version an old one: it is read, and tried again.
        for _ in 0..RESIGN_TRIES {
            if !leads || self.give_up().await {
                break;
            }
            self.look().await;
        }
        drop(api_within(self.call_limit, self.client.withdraw(&self.holder)).await);
    }

    /// Whether the Lease is not ours any more.
    async fn give_up(&mut self) -> bool {
        let Some((record, version)) = self.candidate.release(self.clock.now()) else { return false };
        self.tell();
        let write = api_within(self.call_limit, self.client.write(&record, Some(&version))).await;
        let done = matches!(write, Ok(LeaseWrite::Done(_)));
        if done {
            info!("the Lease is given up");
        }
        done
    }
}

/// Does what one step says. Takes no longer than `limit`, however the API hangs.
async fn carry_out(client: Arc<dyn LeaseClient>, step: LeaseStep, origin: Instant, limit: Duration) -> Done {
    match step {
        LeaseStep::Wait(until) => {
            sleep_until(origin + until).await;
            Done::Waited
        }
        LeaseStep::Read => Done::Read(api_within(limit, client.read()).await),
        LeaseStep::Write { record, version } => {
            let result = api_within(limit, client.write(&record, version.as_deref())).await;
            Done::Wrote(record, result)
        }
    }
}
