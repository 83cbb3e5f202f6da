//! The mailbox: at most one apply in flight, the newest state wins, reloads keep their distance.

mod intake;
mod outcome;
mod supervise;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tidegate_core::backoff::Backoff;
use tidegate_core::desired::DesiredState;
use tidegate_core::pacing::Pacer;
use tidegate_core::protocol::Failure;
use tidegate_core::webhook::Admission;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::boot::Booted;
use super::content::Content;
use super::drift::Drift;
use super::job::{Job, Message, Ready};
use super::probing::Probing;
use super::status::{Board, Posted};
use super::worker::{Done, Prepared, Worker};
use super::zoning::Neighbourhood;
use crate::file::Stamp;
use crate::metrics::Metrics;
use crate::probe::News;
use crate::settings::AuditSettings;
use outcome::Retry;
use supervise::Supervision;

/// Waits between attempts of what may succeed unchanged: a taken port or a full disk.
const RETRY: Backoff = Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(60) };

/// How soon a live file is tried again that may not be replaced: a person has to act first.
const ENVIRONMENT: Duration = Duration::from_secs(10);

/// What is going on, if anything; it gives the worker back.
enum Finished {
    Applied { worker: Worker, done: Done },
    Started { worker: Worker, result: Result<(), Failure> },
    KeptUp { worker: Worker },
    Audited { worker: Worker, audit: Audit },
}

/// The task that owns an agent.
pub struct Mailbox {
    inbox: mpsc::Receiver<Message>,
    admission: Admission,
    /// Absent while something is going on.
    idle: Option<Worker>,
    busy: Option<BoxFuture<'static, Finished>>,
    /// The position being applied, and those who wait for it.
    in_flight: Option<Job>,
    pending: Option<Job>,
    /// The newest admitted state: this agent brings it live whenever it can, without being asked again.
    newest: Option<Arc<DesiredState>>,
    retry: Option<Retry>,
    supervision: Supervision,
    /// Breaks off work on the engine's own files: a change does not wait for it.
    upkeep: CancellationToken,
    drift: Drift,
    probing: Probing,
    zoning: Neighbourhood,
    /// The user's own template as it was last looked at.
    template: Option<Stamp>,
    pacer: Pacer,
    origin: Instant,
    board: Board,
    metrics: Metrics,
    closing: bool,
}

impl Mailbox {
    /// A mailbox for a booted agent, with a reader of its status.
    pub fn new(
        booted: Booted,
        inbox: mpsc::Receiver<Message>,
        (pacer, audit, probing, zoning): (Pacer, AuditSettings, Probing, Neighbourhood),
        metrics: Metrics,
    ) -> (Self, watch::Receiver<Posted>) {
        let engine = &booted.worker.pipeline.engine;
        let (board, status) = Board::new(engine.kind().as_str(), engine.version(), pacer.floor());
        let mut mailbox = Self {
            inbox,
            admission: booted.admission,
            idle: None,
            busy: None,
            in_flight: None,
            pending: None,
            newest: booted.newest.map(|content| content.desired),
            retry: None,
            supervision: Supervision::starting(Instant::now(), audit),
            upkeep: CancellationToken::new(),
            drift: Drift::default(),
            probing,
            zoning,
            template: engine.template().map(Stamp::of),
            pacer,
            origin: Instant::now(),
            board,
            metrics,
            closing: false,
        };
        if let Some(failure) = booted.trouble {
            mailbox.board.failed(None, failure);
        }
        if let Some((content, failure)) = booted.failed {
            mailbox.note_failure(&content.desired, &failure);
        }
        if mailbox.retry.is_none() && !mailbox.serves_the_newest(&booted.worker) {
            mailbox.take_up_the_newest();
        }
        // The machine may have been told another zone since.
        mailbox.judge();
        mailbox.put_back(booted.worker);
        mailbox.board.found(mailbox.probing.findings());
        (mailbox, status)
    }

    /// Works until it is told to end.
    pub async fn run(mut self) {
        loop {
            self.start_what_may_start();
            if self.closing && self.busy.is_none() {
                return;
            }
            let wake = self.wake_at();
            tokio::select! {
                finished = ended(&mut self.busy) => {
                    self.busy = None;
                    self.finish(finished);
                }
                message = self.inbox.recv(), if !self.closing => self.receive(message),
                news = self.probing.news() => self.heard(news),
                () = sleep_until(wake) => self.on_time(),
            }
        }
    }

    /// Starts the pending job when nothing else is going on and the engine may be told again.
    fn start_what_may_start(&mut self) {
        if self.probing.waits_until().is_some() {
            return;
        }
        let Some(mut job) = self.pending.take() else { return };
        let Some(mut worker) = self.idle.take() else {
            self.pending = Some(job);
            return;
        };
        if job.prepared.is_none() {
            let content = Content::with_aside(job.state.clone(), self.probing.overlay(), self.zoning.aside());
            match worker.prepare(&content, job.again) {
                Prepared::Ready(rendered, timings) => job.prepared = Some(Ready { content, rendered, timings }),
                Prepared::Answered(report) => {
                    self.conclude(job, &report, &worker);
                    self.put_back(worker);
                    return;
                }
            }
        }
        match job.prepared.take() {
            Some(Ready { content, rendered, timings }) if self.pacer.wait(self.origin.elapsed()).is_zero() => {
                self.in_flight = Some(job);
                self.busy = Some(Box::pin(async move {
                    let done = worker.apply(&content, rendered, timings).await;
                    Finished::Applied { worker, done }
                }));
            }
            prepared => {
                job.prepared = prepared;
                self.pending = Some(job);
                self.idle = Some(worker);
            }
        }
    }

    /// When something may have to be done without a message.
    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let paced = self.pending.as_ref().filter(|_| self.idle.is_some());
        let paced = paced.map(|_| now + self.pacer.wait(self.origin.elapsed()));
        let retry = self.retry.as_ref().and_then(|r| r.at);
        let patience = self.probing.waits_until();
        // While an apply waits for first answers, its pace is no reason to look.
        let paced = paced.filter(|_| patience.is_none());
        [paced, retry, patience, self.probing.wake_at()]
            .into_iter()
            .flatten()
            .chain([self.supervision.next()])
            .min()
            .unwrap_or(now)
    }

    fn on_time(&mut self) {
        self.start_retry();
        if self.probing.wake_at().is_some_and(|at| at <= Instant::now()) {
            self.judge();
        }
        self.supervise();
    }

    /// Takes in what the prober says.
    fn heard(&mut self, news: News) {
        self.probing.take(news);
        self.judge();
    }

    /// Lets the verdicts take backends of the newest state out, or back in, and the zones those that are left.
    fn judge(&mut self) {
        let Some(newest) = self.newest.clone() else { return };
        let others_answer = self.probing.judge(&newest);
        let others_are_aside = self.zoning.judge(&newest, |listener, backend| self.probing.is_up(listener, backend));
        if others_answer || others_are_aside {
            self.take_up_the_newest();
            // What was rendered before is of another opinion.
            if let Some(job) = &mut self.pending {
                job.prepared = None;
            }
        }
        self.board.found(self.probing.findings());
    }

    /// Whether there is nothing that should be live and is not.
    fn serves_the_newest(&self, worker: &Worker) -> bool {
        let live = worker.live.as_ref().map(|live| live.content.desired.position);
        self.newest.as_ref().is_none_or(|newest| live == Some(newest.position))
    }

    /// Lets the newest admitted state be looked at again, unless it waits for that anyway.
    fn take_up_the_newest(&mut self) {
        if let (None, Some(newest)) = (&self.pending, &self.newest) {
            self.pending = Some(Job::new(newest.clone(), false));
        }
    }

    fn put_back(&mut self, worker: Worker) {
        self.board.show(&worker, self.admission.newest());
        self.look(&worker);
        self.idle = Some(worker);
    }
}

/// Waits for what is going on; for ever when nothing is.
async fn ended(busy: &mut Option<BoxFuture<'static, Finished>>) -> Finished {
    match busy {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
