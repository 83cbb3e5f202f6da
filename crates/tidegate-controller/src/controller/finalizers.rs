//! Carries out what [`tidegate_core::finalizer`] decides: a few Nodes at a time, each again after a while if it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::departure::{Departures, Sight};
use tidegate_core::event::event_of_release;
use tidegate_core::finalizer::{
    FinalizerInput, FinalizerPlan, FinalizerStep, FinalizerTask, HeldNode, plan_finalizers,
};
use tidegate_core::ids::{LoadBalancerName, NodeName, NodeUid};
use tidegate_core::membership::{MemberState, Membership};
use tidegate_core::node::Node;
use tidegate_core::plan::Judged;
use tidegate_core::status::FinalizerStatus;
use tidegate_core::time::before;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{info, warn};

use super::events::Events;
use super::input::Input;
use super::limits::api_within;
use super::office::Tenure;
use super::tasks::Tasks;
use super::{Inputs, Shared};
use crate::metrics::Metrics;
use crate::node_writer::NodeWriter;
use crate::retry::Retry;
use crate::settings::ControllerSettings;
use crate::source::ApiFailure;

/// Patches at a time: no API server notices.
const AT_A_TIME: usize = 8;
/// Patches that are under way or wait for their turn: with thousands of Nodes a decision takes longer than eight patches.
const LINED_UP: usize = 256;
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// A patch that was done shows in the watch; if it does not by then, somebody has undone it.
const SHOWS_WITHIN: Duration = Duration::from_secs(60);

/// What the decisions rest on.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) nodes: &'a [(&'a Node, &'a Judged)],
    pub(super) membership: &'a Membership,
    pub(super) departures: &'a Departures,
    pub(super) sights: &'a [Sight],
    /// Whether no write is under way whose outcome is not known.
    pub(super) settled: bool,
    pub(super) now: Timestamp,
}

/// The finalizers of all Nodes.
pub(super) struct Finalizers {
    settings: Arc<ControllerSettings>,
    nodes: Arc<dyn NodeWriter>,
    metrics: Metrics,
    inputs: Inputs,
    tasks: Tasks,
    /// Since when this process can have heard from load balancers.
    started: Instant,
    under_way: BTreeSet<NodeUid>,
    turns: Arc<Semaphore>,
    /// What failed, or was done and does not show yet.
    rests: BTreeMap<NodeUid, (FinalizerStep, Retry)>,
    held: Vec<FinalizerStatus>,
    wake_at: Option<Timestamp>,
    waits: bool,
}

impl Finalizers {
    pub(super) fn new(shared: &Shared, inputs: Inputs, tasks: Tasks) -> Self {
        Self {
            settings: shared.settings.clone(),
            nodes: shared.nodes.clone(),
            metrics: shared.metrics.clone(),
            inputs,
            tasks,
            started: Instant::now(),
            under_way: BTreeSet::new(),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            rests: BTreeMap::new(),
            held: Vec::new(),
            wake_at: None,
            waits: false,
        }
    }

    /// Decides; with a tenure it also starts what there is to do.
    pub(super) fn plan(&mut self, scene: Scene<'_>, tenure: Option<&Tenure>) {
        let Scene { nodes, membership, departures, sights, settled, now } = scene;
        let acknowledged = departures.acknowledged(sights, self.started(now), now);
        let policy = self.settings.finalizer;
        let input = FinalizerInput { nodes, membership, acknowledged: &acknowledged, settled, policy, now };
        let FinalizerPlan { tasks, held, wake_at, waits } = plan_finalizers(&input);
        self.waits = waits;
        self.held = held.iter().map(|held| self.status(held, &scene)).collect();
        self.wake_at = wake_at;
        let wanted: BTreeMap<&NodeUid, FinalizerStep> = tasks.iter().map(|t| (&t.uid, t.step.clone())).collect();
        self.rests.retain(|uid, (step, _)| wanted.get(uid) == Some(step));
        if let Some(tenure) = tenure {
            self.start(tasks, tenure);
        }
    }

    fn start(&mut self, wanted: Vec<FinalizerTask>, tenure: &Tenure) {
        for task in wanted {
            if self.under_way.len() >= LINED_UP {
                return;
            }
            let rests = self.rests.get(&task.uid).is_some_and(|(_, retry)| !retry.is_due());
            if !rests && self.under_way.insert(task.uid.clone()) {
                let (turns, nodes, inputs) = (self.turns.clone(), self.nodes.clone(), self.inputs.clone());
                self.tasks.spawn(in_turn(turns, patch(nodes, inputs, tenure.clone(), task)));
            }
        }
    }

    /// Takes in the end of a patch (none: it was not sent).
    pub(super) fn patched(
        &mut self,
        task: &FinalizerTask,
        result: Option<Result<(), ApiFailure>>,
        events: (&Events, Option<&Tenure>),
    ) {
        self.under_way.remove(&task.uid);
        let Some(result) = result else { return };
        let fresh = || (task.step.clone(), Retry::new(Duration::from_secs(1), Duration::from_secs(30)));
        let (_, retry) = self.rests.entry(task.uid.clone()).or_insert_with(fresh);
        match result {
            Ok(()) => {
                retry.succeeded();
                retry.failed_for(SHOWS_WITHIN);
                self.released(task, events);
            }
            Err(error) => {
                retry.failed();
                if retry.is_first_failure() {
                    warn!(%error, node = %task.node, step = ?task.step, "a finalizer cannot be changed; trying again");
                }
            }
        }
    }

    fn released(&self, task: &FinalizerTask, (events, tenure): (&Events, Option<&Tenure>)) {
        let FinalizerStep::Release(release) = task.step else { return };
        self.metrics.finalizer_released(release);
        let waited = self.held.iter().find(|held| held.node == task.node).map_or("", |held| &held.waits_for);
        info!(node = %task.node, outcome = release.as_str(), waited, "finalizer released");
        let event = event_of_release(&task.node, &task.uid, release, waited);
        if let (Some(event), Some(tenure)) = (event, tenure) {
            events.tell(tenure, event);
        }
    }

    /// Node deletions that wait for us.
    pub(super) fn held(&self) -> Vec<FinalizerStatus> {
        self.held.clone()
    }

    /// Whether a word from a load balancer may end a wait.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    /// When a deadline passes.
    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.wake_at
    }

    /// When something that failed may be tried again; nothing for what is being tried: its end is a message.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        if self.under_way.len() >= LINED_UP {
            return None;
        }
        let resting = self.rests.iter().filter(|(uid, _)| !self.under_way.contains(*uid));
        resting.filter_map(|(_, (_, retry))| retry.due()).min()
    }

    /// By the clock of `now`, whatever was done to that clock since.
    fn started(&self, now: Timestamp) -> Timestamp {
        before(now, self.started.elapsed())
    }

    fn status(&self, held: &HeldNode, scene: &Scene<'_>) -> FinalizerStatus {
        let waits_for = match scene.membership.get(&held.uid).map(|member| member.state) {
            Some(MemberState::Draining { deadline }) => format!("the drain, which ends at {deadline} at the latest"),
            Some(MemberState::Active) => "the node to be taken out".to_owned(),
            None => {
                let awaited = scene.departures.awaited(&held.uid, scene.sights, self.started(scene.now), scene.now);
                let names: Vec<&str> = awaited.iter().map(LoadBalancerName::as_str).collect();
                if names.is_empty() { "the API server".to_owned() } else { format!("the word of {}", names.join(", ")) }
            }
        };
        FinalizerStatus { node: held.node.clone(), deadline: held.deadline, waits_for }
    }
}

/// Nodes whose leaving somebody waits for.
pub(super) fn watched<'a>(nodes: impl Iterator<Item = &'a Node>) -> impl Iterator<Item = &'a NodeUid> {
    nodes.filter(|node| node.finalizer).map(|node| &node.uid)
}

async fn in_turn(turns: Arc<Semaphore>, work: impl Future<Output = ()>) {
    // It is never closed.
    let _turn = turns.acquire_owned().await;
    work.await;
}

async fn patch(nodes: Arc<dyn NodeWriter>, inputs: Inputs, tenure: Tenure, task: FinalizerTask) {
    let result = if tenure.is_valid() {
        let call = change(&*nodes, &task.node, &task.uid, &task.step);
        Some(api_within(CALL_LIMIT, call).await)
    } else {
        None
    };
    drop(inputs.send(Input::Patched { task, result }).await);
}

async fn change(
    nodes: &dyn NodeWriter,
    node: &NodeName,
    uid: &NodeUid,
    step: &FinalizerStep,
) -> Result<(), ApiFailure> {
    match step {
        FinalizerStep::Add => nodes.add_finalizer(node, uid).await,
        FinalizerStep::Release(_) => nodes.remove_finalizer(node, uid).await,
    }
}
