//! Everything that is observed of the cluster: watch, LIST and GET come together in one view.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::follow::{Follow, FollowView};
use tidegate_core::guard::{Freshness, SECOND_LOOK};
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::mutant::{Mutant, planted};
use tidegate_core::node::Node;
use tidegate_core::status::FollowStatus;
use tidegate_core::view::{ClusterView, Observed};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::confirm::Confirm;
use super::following::Following;
use super::input::Input;
use super::resync::Resync;
use super::tasks::Tasks;
use super::{Inputs, Shared};
use crate::follow_source::FollowEvent;
use crate::metrics::Metrics;
use crate::source::{ApiFailure, NodeSource, Observation, SourceError, WatchEvent};

/// A LIST or GET that takes longer has failed, whatever the source thinks.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// The view of the cluster, and how it is kept up to date.
pub(super) struct Gather {
    source: Arc<dyn NodeSource>,
    inputs: Inputs,
    tasks: Tasks,
    metrics: Metrics,
    watch: mpsc::Receiver<Observation>,
    view: ClusterView,
    resync: Resync,
    confirm: Confirm,
    following: Following,
    freshness_limit: Duration,
    /// When the last LIST that finished had been started.
    last_list: Option<Instant>,
    was_fresh: bool,
    /// See [`Freshness::lists_wanted`].
    lists_wanted: u8,
    /// See [`Freshness::vouched`].
    vouched: bool,
    trouble: Option<String>,
    changed: bool,
    oldest: Option<Instant>,
}

impl Gather {
    /// Starts the watch; the first LIST is due at once.
    pub(super) fn new(shared: &Shared, inputs: Inputs, tasks: Tasks) -> Self {
        let following = Following::start(shared, &inputs, &tasks);
        Self {
            watch: shared.source.watch(),
            source: shared.source.clone(),
            inputs,
            tasks,
            metrics: shared.metrics.clone(),
            view: ClusterView::default(),
            resync: Resync::new(shared.settings.resync),
            confirm: Confirm::new(),
            following,
            freshness_limit: shared.settings.freshness_limit(),
            last_list: None,
            was_fresh: false,
            lists_wanted: 0,
            vouched: false,
            trouble: None,
            changed: true,
            oldest: None,
        }
    }

    pub(super) const fn view(&self) -> &ClusterView {
        &self.view
    }

    pub(super) const fn last_list(&self) -> Option<Instant> {
        self.last_list
    }

    /// How far the view can be trusted. The age counts from the start of the LIST.
    pub(super) fn freshness(&self) -> Freshness {
        let list_age = self.last_list.map(|at| at.elapsed());
        Freshness { list_age, limit: self.freshness_limit, vouched: self.vouched, lists_wanted: self.lists_wanted }
    }

    /// This process decides from now on: whether its view is worth anything is still to be seen, if it is stale.
    pub(super) fn takes_over(&mut self) {
        self.vouched = self.freshness().problem().is_none();
    }

    /// Why nothing is taken out: what is wrong with the view, and the latest failure of the API.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = self.freshness().problem()?;
        let failure = self.trouble.as_ref().map(|t| format!("; {t}")).unwrap_or_default();
        Some(format!("{problem}{failure}"))
    }

    /// The next event of the watch; for ever when the watch has ended.
    pub(super) async fn next_event(&mut self) -> Observation {
        match self.watch.recv().await {
            Some(observation) => observation,
            None => std::future::pending().await,
        }
    }

    /// The next event of the watch, if there is one already.
    pub(super) fn ready_event(&mut self) -> Option<Observation> {
        self.watch.try_recv().ok()
    }

    /// Takes in an event; a heartbeat or a repetition changes nothing.
    pub(super) fn observe(&mut self, observation: Observation) {
        let observed = match observation.event {
            WatchEvent::Applied(node) => {
                self.resync.touched(&node.name);
                self.view.observe(node)
            }
            WatchEvent::Deleted(name, uid) => {
                self.resync.touched(&name);
                self.view.forget(&name, &uid)
            }
            WatchEvent::Listed(nodes) => {
                self.restarted(nodes);
                Observed::Same
            }
        };
        if observed == Observed::Changed {
            self.is_news(observation.received);
        }
    }

    /// Takes in what was heard of what listeners follow.
    pub(super) fn followed(&mut self, follow: &Follow, event: FollowEvent, received: Instant) {
        if self.following.take(follow, event) {
            self.is_news(received);
        }
    }

    fn is_news(&mut self, received: Instant) {
        self.changed = true;
        let oldest = self.oldest.get_or_insert(received);
        *oldest = (*oldest).min(received);
    }

    pub(super) const fn follows(&self) -> &BTreeMap<Follow, FollowView> {
        self.following.views()
    }

    pub(super) fn follow_statuses(&self) -> Vec<FollowStatus> {
        self.following.statuses()
    }

    /// The watch began anew, from a cache that may lag behind: nothing is decided from that. If it
    /// differs from the view, something was missed, and a consistent LIST will tell what.
    fn restarted(&mut self, nodes: Vec<Node>) {
        let known = |mut node: Node| {
            self.view.get(&node.name).is_some_and(|earlier| {
                node.keep_earlier_since(earlier);
                *earlier == node
            })
        };
        let count = nodes.len();
        let same = count == self.view.nodes().count() && nodes.into_iter().all(known);
        if !same {
            debug!(nodes = count, "the watch began anew and shows something else; listing");
            self.resync.hurry();
        }
    }

    /// Takes in a LIST that ended.
    pub(super) fn listed(&mut self, started: Instant, took: Duration, result: Result<Vec<Node>, SourceError>) {
        let nodes = match result {
            Ok(nodes) => self.resync.finished(nodes, &self.view),
            Err(error) => {
                if self.resync.failed() {
                    warn!(%error, "the nodes cannot be listed; trying again");
                }
                self.trouble = Some(error.to_string());
                // While frozen, the status says why the latest attempt failed.
                self.changed |= self.freshness().problem().is_some();
                return;
            }
        };
        self.notice_staleness();
        self.last_list = Some(started);
        self.lists_wanted = self.lists_wanted.saturating_sub(1);
        if self.lists_wanted > 0 {
            self.look_again();
        }
        self.vouched = true;
        if self.trouble.take().is_some() {
            info!("the nodes can be listed again");
        }
        self.metrics.resynced(took);
        if planted(Mutant::ResyncIgnored) && self.view.is_listed() {
            return;
        }
        let repairs = self.view.replace(nodes);
        if repairs > 0 {
            info!(repairs, "the LIST differed from what the watch had told");
            self.metrics.repaired(repairs);
        }
        // Once a minute a new plan is made in any case: a wall clock that was set moves deadlines.
        self.changed = true;
    }

    /// Takes in the answer about a member that seemed gone.
    pub(super) fn confirmed(&mut self, name: &NodeName, uid: &NodeUid, result: Result<Option<Node>, SourceError>) {
        match result {
            Ok(Some(node)) if node.uid == *uid => {
                info!(%name, "the API server still has the node that LIST or watch no longer showed");
                self.view.observe(node);
            }
            Ok(found) => {
                self.view.confirm_gone(uid);
                found.map(|node| self.view.observe(node));
            }
            Err(error) => {
                if self.confirm.failed(uid) {
                    warn!(%error, "it is not certain that a node is gone; asking again");
                }
                return;
            }
        }
        self.confirm.answered(uid);
        self.changed = true;
    }

    /// What the latest plan wants to know.
    pub(super) fn want(&mut self, wanted: Vec<(NodeName, NodeUid)>, is_member: impl Fn(&NodeUid) -> bool) {
        self.confirm.want(wanted);
        self.view.retain_confirmations(is_member);
    }

    /// Starts every LIST and GET that is due.
    pub(super) fn start_reads(&mut self) {
        if self.resync.start() {
            if self.watch.is_closed() {
                self.watch = self.source.watch();
            }
            self.spawn_list();
        }
        for (name, uid) in self.confirm.start() {
            self.spawn_get(name, uid);
        }
    }

    fn spawn_list(&mut self) {
        let (source, inputs, started) = (self.source.clone(), self.inputs.clone(), Instant::now());
        self.tasks.spawn(async move {
            let result = bounded(source.list()).await;
            let result = result.unwrap_or_else(|cause| Err(SourceError::List { cause }));
            // The loop is gone only when everything ends.
            drop(inputs.send(Input::Listed { started, took: started.elapsed(), result }).await);
        });
    }

    fn spawn_get(&mut self, name: NodeName, uid: NodeUid) {
        let (source, inputs) = (self.source.clone(), self.inputs.clone());
        self.tasks.spawn(async move {
            let result = bounded(source.get(&name)).await;
            let result = result.unwrap_or_else(|cause| Err(SourceError::Get { node: name.clone(), cause }));
            drop(inputs.send(Input::Confirmed { name, uid, result }).await);
        });
    }

    /// Asks for a LIST a few seconds from now: what was seen has to be seen again.
    pub(super) fn look_again(&mut self) {
        self.resync.within(SECOND_LOOK);
    }

    /// Once it was stale, the view has to be confirmed.
    fn notice_staleness(&mut self) {
        if self.last_list.is_some_and(|at| at.elapsed() >= self.freshness_limit) {
            self.lists_wanted = Freshness::CLEAN_LISTS;
        }
    }

    /// Whether there is something to decide, and forgets it. Losing or regaining freshness counts.
    pub(super) fn has_changed(&mut self) -> bool {
        self.notice_staleness();
        self.changed |= self.following.age();
        let fresh = self.freshness().problem().is_none();
        if std::mem::replace(&mut self.was_fresh, fresh) != fresh {
            self.changed = true;
        }
        self.changed
    }

    /// Everything so far is part of the next plan.
    pub(super) fn taken(&mut self) {
        self.changed = false;
    }

    /// Asks for another plan.
    pub(super) fn plan_again(&mut self) {
        self.changed = true;
    }

    /// When the oldest event was received that no commit followed from yet.
    pub(super) fn take_oldest(&mut self) -> Option<Instant> {
        self.oldest.take()
    }

    /// The next moment at which something is to be done here.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let expiry = self.last_list.map(|at| at + self.freshness_limit).filter(|_| self.was_fresh);
        [self.resync.due(), self.confirm.due(), expiry, self.following.expiry()].into_iter().flatten().min()
    }
}

async fn bounded<T>(read: impl Future<Output = T>) -> Result<T, ApiFailure> {
    tokio::time::timeout(READ_LIMIT, read).await.map_err(|_| ApiFailure::Timeout { limit: READ_LIMIT })
}
