//! The loop itself: gather -> plan -> record -> publish.

use std::time::Duration;

use tidegate_core::log::LogEntry;
use tidegate_core::plan::{Plan, PlanInput, plan};
use tidegate_core::position::Position;
use tidegate_core::time::elapsed;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::adoption::Adoption;
use super::debounce::Debounce;
use super::gather::Gather;
use super::housekeeper::Housekeeper;
use super::input::Input;
use super::latency::Latency;
use super::outlet::{Outlet, Publication};
use super::record::Record;
use super::{ControllerError, Shared};
use crate::status::{Memory, Scene, Trouble};

/// An address that one commit frees may be taken in the next; no chain is longer than this.
const MAX_ROUNDS: usize = 6;
/// Events that are taken in before a decision: a burst is one decision, an endless one is several.
const MAX_DRAINED: usize = 4096;
/// With nothing to wait for, the loop still looks around now and then.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The one owner of the view and of the log.
pub(super) struct Reconciler {
    shared: Shared,
    gather: Gather,
    record: Record,
    outlet: Outlet,
    inputs: mpsc::Receiver<Input>,
    housekeeper: Housekeeper,
    debounce: Debounce,
    adoption: Adoption,
    latency: Latency,
    memory: Memory,
    /// When time alone makes a new plan necessary.
    wake_at: Option<Instant>,
    /// The oldest event that the next commit follows from.
    event: Option<Instant>,
}

impl Reconciler {
    pub(super) fn new(
        shared: Shared,
        record: Record,
        (sender, inputs): (mpsc::Sender<Input>, mpsc::Receiver<Input>),
        publications: watch::Sender<Publication>,
    ) -> Self {
        Self {
            housekeeper: Housekeeper::new(&shared, sender.clone()),
            gather: Gather::new(&shared.settings, shared.source.clone(), sender, shared.metrics.clone()),
            latency: Latency::new(shared.board.balancers().count()),
            outlet: Outlet::new(publications),
            shared,
            record,
            inputs,
            debounce: Debounce::default(),
            adoption: Adoption::default(),
            memory: Memory::default(),
            wake_at: None,
            event: None,
        }
    }

    /// Runs until `shutdown`, or until nothing can be recorded any more.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<(), ControllerError> {
        // What was decided before is served at once, before anything is asked of the API server.
        self.outlet.publish(self.record.log(), &self.shared.settings);
        let outcome = shutdown.run_until_cancelled(self.turn_for_ever()).await.unwrap_or(Ok(()));
        self.housekeeper.finish().await;
        outcome
    }

    async fn turn_for_ever(&mut self) -> Result<(), ControllerError> {
        loop {
            if self.must_decide() {
                self.decide().await?;
            }
            self.gather.start_reads();
            self.gather().await?;
        }
    }

    /// Waits for something to happen, then takes in everything that has.
    async fn gather(&mut self) -> Result<(), ControllerError> {
        let wake = self.next_wake();
        tokio::select! {
            Some(input) = self.inputs.recv() => self.take(input).await?,
            observation = self.gather.next_event() => self.gather.observe(observation),
            () = sleep_until(wake) => {}
        }
        for _ in 0..MAX_DRAINED {
            let Some(observation) = self.gather.ready_event() else { break };
            self.gather.observe(observation);
        }
        while let Ok(input) = self.inputs.try_recv() {
            self.take(input).await?;
        }
        Ok(())
    }

    async fn take(&mut self, input: Input) -> Result<(), ControllerError> {
        match input {
            Input::Listed { started, took, result } => {
                let complete = result.is_ok();
                self.gather.listed(started, took, result);
                if complete {
                    self.housekeeper.resynced(self.record.log(), self.shared.clock.now());
                }
            }
            Input::Confirmed { name, uid, result } => self.gather.confirmed(&name, &uid, result),
            Input::Live { balancer, position, at } => {
                for took in self.latency.live(balancer, position, at) {
                    self.shared.metrics.event_is_live(took);
                }
            }
            Input::Ahead { balancer, position } => self.go_past(&balancer, position).await?,
            Input::Fenced { holder, found } => {
                return Err(ControllerError::Fenced { holder, found, ours: self.record.position() });
            }
        }
        Ok(())
    }

    fn must_decide(&mut self) -> bool {
        let now = Instant::now();
        let timed = [self.wake_at, self.record.retry_at()].into_iter().flatten().any(|at| at <= now);
        // Both are asked: noticing that freshness was lost must not wait for another reason.
        (self.gather.has_changed() || timed) && self.debounce.is_ready()
    }

    fn next_wake(&mut self) -> Instant {
        let now = Instant::now();
        let decision = if self.gather.has_changed() { self.debounce.ready_at() } else { None };
        let timers = [decision, self.wake_at, self.record.retry_at(), self.gather.wake_at()];
        let next = timers.into_iter().flatten().min().unwrap_or(now + LONGEST_SLEEP);
        // A timer that is due may still wait for the debounce.
        let floor = self.debounce.ready_at().filter(|at| *at > now && next <= now).unwrap_or(now);
        next.clamp(floor, now + LONGEST_SLEEP)
    }

    async fn decide(&mut self) -> Result<(), ControllerError> {
        self.gather.taken();
        self.event = self.event.or(self.gather.take_oldest());
        let before = self.record.position();
        if let Some(entry) = self.record.flush().await? {
            self.committed(&entry);
        }
        let plan = self.settle().await?;
        if self.record.position() != before {
            self.debounce.committed();
            self.publish();
        } else if !self.record.is_stuck() {
            self.event = None;
        }
        self.look_ahead(&plan);
        self.show(&plan);
        Ok(())
    }

    /// Plans and commits until nothing is left to do; answers the last plan.
    async fn settle(&mut self) -> Result<Plan, ControllerError> {
        for _ in 0..MAX_ROUNDS {
            let plan = self.plan();
            if plan.changes.is_empty() || self.record.is_stuck() {
                return Ok(plan);
            }
            if let Some(entry) = self.record.commit(plan.changes.clone()).await? {
                self.committed(&entry);
            }
        }
        warn!(rounds = MAX_ROUNDS, "committed plans leave more to do; going on with the next decision");
        self.gather.plan_again();
        Ok(self.plan())
    }

    fn plan(&self) -> Plan {
        plan(&PlanInput {
            view: self.gather.view(),
            membership: &self.record.log().membership,
            policy: &self.shared.settings.policy,
            freshness: self.gather.freshness(),
            now: self.shared.clock.now(),
        })
    }

    fn committed(&self, entry: &LogEntry) {
        for change in &entry.changes {
            let (from, to) = (change.from.as_str(), change.phase().as_str());
            info!(node = %change.node, from, to, rule = %change.rule, position = %entry.position(), "{}", change.observation);
        }
        self.housekeeper.committed(entry, self.record.log());
    }

    fn publish(&mut self) {
        self.outlet.publish(self.record.log(), &self.shared.settings);
        let published = self.outlet.published().is_some_and(|state| state.position == self.record.position());
        if let Some(event) = self.event.take().filter(|_| published) {
            self.latency.committed(self.record.position(), event);
        }
    }

    /// Opens a term above a load balancer that is ahead of the log, when that is safe.
    async fn go_past(
        &mut self,
        balancer: &tidegate_core::ids::LoadBalancerName,
        theirs: Position,
    ) -> Result<(), ControllerError> {
        let fresh = self.gather.freshness().problem().is_none();
        let may_lead = fresh && self.outlet.starved().is_empty() && !self.record.is_stuck();
        let ours = self.record.position();
        if let Some(term) = self.adoption.term_above(balancer, theirs, ours, may_lead) {
            if let Some(entry) = self.record.open_term(term).await? {
                self.committed(&entry);
            }
            self.publish();
            self.gather.plan_again();
        }
        Ok(())
    }

    /// Notes what the plan waits for.
    fn look_ahead(&mut self, plan: &Plan) {
        let now = self.shared.clock.now();
        self.wake_at = plan.wake_at.map(|at| Instant::now() + elapsed(now, at));
        let members = &self.record.log().membership;
        self.gather.want(plan.confirm.clone(), |uid| members.get(uid).is_some());
    }

    fn show(&mut self, plan: &Plan) {
        let scene = Scene {
            plan,
            membership: &self.record.log().membership,
            leader: self.record.leader(),
            published: self.outlet.published(),
            starved: self.outlet.starved(),
            trouble: Trouble { view: self.gather.problem(), store: self.record.trouble() },
            last_list: self.gather.last_list(),
        };
        let picture = self.memory.draw(scene, self.shared.clock.now());
        self.shared.board.hang(picture);
    }
}
