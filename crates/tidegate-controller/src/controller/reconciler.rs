//! The loop itself: gather -> plan -> record -> publish. Every replica gathers; only the leader records and publishes.

mod decide;
mod orders;
mod tenure;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tidegate_core::departure::Departures;
use tidegate_core::guard::Suspicion;
use tidegate_core::ids::NodeUid;
use tidegate_core::log::Decision;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::adoption::Adoption;
use super::claim::Claim;
use super::debounce::Debounce;
use super::events::Events;
use super::finalizers::Finalizers;
use super::gather::Gather;
use super::holds::Holds;
use super::housekeeper::Housekeeper;
use super::input::Input;
use super::latency::Latency;
use super::office::Office;
use super::outlet::{Outlet, Publication};
use super::record::Record;
use super::tail::Follow;
use super::tasks::Tasks;
use super::{ControllerError, Inputs, Shared};
use crate::status::Memory;

/// Events that are taken in before a decision: a burst is one decision, an endless one is several.
const MAX_DRAINED: usize = 4096;
/// With nothing to wait for, the loop still looks around now and then.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The one owner of the view and of the log.
pub(super) struct Reconciler {
    shared: Shared,
    office: Office,
    /// The latest tenure that the store has overruled: it does not lead any more, whatever the Lease says.
    overruled: u64,
    /// Who overruled it, although the Lease was ours.
    rival: Option<String>,
    gather: Gather,
    record: Record,
    follow: Follow,
    outlet: Outlet,
    inputs: mpsc::Receiver<Input>,
    sender: Inputs,
    tasks: Tasks,
    housekeeper: Housekeeper,
    events: Events,
    holds: Holds,
    finalizers: Finalizers,
    claim: Claim,
    departures: Departures,
    suspicion: Suspicion,
    /// Draining members without any connection, as far as the latest decision knew.
    idle_before: BTreeSet<NodeUid>,
    /// Who answered the load balancers' probes, as far as the latest decision knew.
    answers_before: BTreeMap<IpAddr, bool>,
    debounce: Debounce,
    adoption: Adoption,
    latency: Latency,
    memory: Memory,
    /// When time alone makes a new plan necessary.
    wake_at: Option<Instant>,
    /// The oldest event that the next commit follows from.
    event: Option<Instant>,
}

/// What the loop is connected to.
pub(super) struct Lines {
    pub(super) inputs: (Inputs, mpsc::Receiver<Input>),
    /// One for each load balancer.
    pub(super) publications: Vec<watch::Sender<Publication>>,
    pub(super) office: Office,
    pub(super) tasks: Tasks,
}

impl Reconciler {
    pub(super) fn new(shared: Shared, record: Record, lines: Lines) -> Self {
        let Lines { inputs: (sender, inputs), publications, office, tasks } = lines;
        Self {
            housekeeper: Housekeeper::new(&shared, sender.clone(), &tasks),
            events: Events::new(&shared, &tasks),
            holds: Holds::default(),
            finalizers: Finalizers::new(&shared, sender.clone(), tasks.clone()),
            claim: Claim::new(&shared),
            gather: Gather::new(&shared, sender.clone(), tasks.clone()),
            follow: Follow::new(shared.settings.lease.retry_period),
            latency: Latency::new(shared.board.balancers().count()),
            outlet: Outlet::new(publications),
            shared,
            office,
            overruled: 0,
            rival: None,
            record,
            inputs,
            sender,
            tasks,
            departures: Departures::default(),
            suspicion: Suspicion::default(),
            idle_before: BTreeSet::new(),
            answers_before: BTreeMap::new(),
            debounce: Debounce::default(),
            adoption: Adoption::default(),
            memory: Memory::default(),
            wake_at: None,
            event: None,
        }
    }

    /// Runs until `shutdown`, or until nothing can be recorded any more.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<(), ControllerError> {
        let outcome = shutdown.run_until_cancelled(self.turn_for_ever()).await.unwrap_or(Ok(()));
        self.outlet.step_back();
        self.housekeeper.finish().await;
        self.office.resign().await;
        outcome
    }

    async fn turn_for_ever(&mut self) -> Result<(), ControllerError> {
        // A follower compares what is live with this; a leader serves what was decided before, before anything is asked
        // of the API server.
        self.outlet.publish(self.record.log(), None, &self.shared.settings);
        loop {
            if let Err(error) = self.turn().await {
                self.overruled_by(error).await?;
            }
        }
    }

    async fn turn(&mut self) -> Result<(), ControllerError> {
        self.mind_the_office().await?;
        if self.must_decide() {
            let started = Instant::now();
            self.decide().await?;
            self.debounce.decided(started.elapsed());
        }
        self.gather.start_reads();
        self.claim.start(&self.tasks, &self.sender);
        self.gather().await
    }

    /// Waits for something to happen, then takes in everything that has.
    async fn gather(&mut self) -> Result<(), ControllerError> {
        let wake = self.next_wake();
        tokio::select! {
            biased;
            () = self.office.changed() => {}
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
                let failed = result.as_ref().err().map(ToString::to_string);
                self.gather.listed(started, took, result);
                match failed {
                    None => {
                        self.shared.board.set_ready();
                        self.suspicion.listed(self.shared.clock.now());
                        self.housekeeper.resynced(self.record.log(), self.shared.clock.now());
                    }
                    Some(error) => self.shared.board.still_unready(format!("the Nodes cannot be listed: {error}")),
                }
            }
            Input::Confirmed { name, uid, result } => self.gather.confirmed(&name, &uid, result),
            Input::Live { balancer, position, at } => {
                for took in self.latency.live(balancer, position, at) {
                    self.shared.metrics.event_is_live(took);
                }
                if self.finalizers.waits() {
                    self.gather.plan_again();
                }
            }
            Input::Counted => self.counted(),
            Input::Ahead { balancer, position } => self.go_past(&balancer, position).await?,
            // What was found may be a term that this process has opened meanwhile, above a load balancer.
            Input::Fenced { holder, found } if self.record.leads() && found.term > self.record.position().term => {
                return Err(ControllerError::Fenced { holder, found, ours: self.record.position() });
            }
            Input::Fenced { .. } => {}
            Input::Tail { result } => self.followed(result),
            Input::Patched { task, result } => {
                self.finalizers.patched(&task, result, (&self.events, self.record.tenure()));
                self.gather.plan_again();
            }
            Input::ClusterUid { result } => {
                self.claim.told(result);
                self.gather.plan_again();
            }
            Input::Repaired { repairs } => self.repaired(repairs).await?,
            Input::Followed { follow, event, received } => self.gather.followed(&follow, event, received),
            Input::Order { request, answer } => self.order(request, answer).await?,
            Input::Override { request, answer } => self.override_guard(request, answer).await?,
        }
        Ok(())
    }

    /// Records what was put right in the read model, so that history tells.
    async fn repaired(&mut self, repairs: Vec<String>) -> Result<(), ControllerError> {
        if self.record.leads() && !self.record.is_stuck() {
            let decision = Decision { repairs, ..Decision::default() };
            if let Some(entry) = self.record.commit(decision).await? {
                self.committed(&entry);
            }
            self.publish();
            // Nothing follows from it, but the status has to know.
            self.gather.plan_again();
        }
        Ok(())
    }

    /// Being fenced is no reason to end where another replica leads: it is followed.
    async fn overruled_by(&mut self, error: ControllerError) -> Result<(), ControllerError> {
        match error {
            ControllerError::Fenced { holder, found, ours } if self.office.is_elected() => {
                self.stand_down(holder, found, ours).await;
                Ok(())
            }
            other => Err(other),
        }
    }
}
