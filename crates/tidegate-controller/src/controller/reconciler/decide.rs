//! One decision: plan, commit until nothing is left to do, publish, show.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidegate_core::event::{event_of_hold, events_of};
use tidegate_core::ids::{LoadBalancerName, NodeUid};
use tidegate_core::log::{Decision, LogEntry};
use tidegate_core::mutant::{Mutant, planted};
use tidegate_core::order::Orders;
use tidegate_core::plan::{Plan, PlanInput, plan};
use tidegate_core::policy::NotReady;
use tidegate_core::position::Position;
use tidegate_core::status::Leader;
use tidegate_core::time::elapsed;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{LONGEST_SLEEP, Reconciler};
use crate::controller::ControllerError;
use crate::controller::finalizers::{self, watched};
use crate::controller::sights::{answers, sights};
use crate::status::{Scene, Trouble};

/// An address that one commit frees may be taken in the next; no chain is longer than this.
const MAX_ROUNDS: usize = 6;

impl Reconciler {
    pub(super) fn must_decide(&mut self) -> bool {
        let now = Instant::now();
        let leads = self.record.leads();
        let retries = [self.claim.due(leads), self.finalizers.retry_at().filter(|_| leads)];
        let timed = [self.wake_at, self.record.retry_at()].into_iter().chain(retries);
        let timed = timed.into_iter().flatten().any(|at| at <= now);
        // Both are asked: noticing that freshness was lost must not wait for another reason.
        (self.gather.has_changed() || timed) && self.debounce.is_ready()
    }

    pub(super) fn next_wake(&mut self) -> Instant {
        let now = Instant::now();
        let decision = if self.gather.has_changed() { self.debounce.ready_at() } else { None };
        let leads = self.record.leads();
        // A leader whose term the store does not take yet neither leads nor follows.
        let follows = self.office.tenure().is_none_or(|tenure| tenure.number() <= self.overruled);
        let timers = [
            decision,
            self.wake_at,
            self.record.retry_at(),
            self.record.open_at(),
            self.gather.wake_at(),
            self.claim.due(leads),
            self.finalizers.retry_at().filter(|_| leads),
            self.follow.due().filter(|_| follows),
            self.office.ends_at().filter(|at| leads || *at > now),
        ];
        let next = timers.into_iter().flatten().min().unwrap_or(now + LONGEST_SLEEP);
        // A timer that is due may still wait for the debounce.
        let floor = self.debounce.ready_at().filter(|at| *at > now && next <= now).unwrap_or(now);
        next.clamp(floor, now + LONGEST_SLEEP)
    }

    pub(super) async fn decide(&mut self) -> Result<(), ControllerError> {
        self.gather.taken();
        self.watch_departures();
        let plan = if self.record.leads() { self.act().await? } else { self.plan() };
        self.watch_departures();
        self.look_ahead(&plan);
        self.mind_finalizers(&plan);
        self.tell_holds(&plan);
        self.show(&plan);
        Ok(())
    }

    /// Brings the record in line with what is observed, and publishes it.
    async fn act(&mut self) -> Result<Plan, ControllerError> {
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
        Ok(plan)
    }

    /// Plans and commits until nothing is left to do; answers the last plan.
    async fn settle(&mut self) -> Result<Plan, ControllerError> {
        for _ in 0..MAX_ROUNDS {
            let plan = self.plan();
            let decision = Decision { changes: plan.changes.clone(), orders: self.forgotten(), ..Decision::default() };
            let nothing = decision == Decision::default();
            // A commit may have taken longer than the Lease; a claim is a write too (seed 608 of the simulation).
            if !self.record.leads() {
                return Ok(plan);
            }
            // Before the first LIST nothing rests on this cluster's word; after it, it has to be the right one. That is
            // found out even when there is nothing to record: who waits for the answer would turn in a circle.
            let ours = !self.gather.view().is_listed() || self.claim.settle().await?;
            if nothing || self.record.is_stuck() || !ours {
                return Ok(plan);
            }
            match self.record.commit(decision).await? {
                Some(entry) => self.committed(&entry),
                None if planted(Mutant::PublishBeforeCommit) => self.publish_unrecorded(),
                None => {}
            }
        }
        warn!(rounds = MAX_ROUNDS, "committed plans leave more to do; going on with the next decision");
        self.gather.plan_again();
        Ok(self.plan())
    }

    fn plan(&mut self) -> Plan {
        let log = self.record.log();
        let none = Orders::default();
        let now = self.shared.clock.now();
        let plan = plan(&PlanInput {
            view: self.gather.view(),
            membership: &log.membership,
            orders: if self.forgets_orders() { &none } else { &log.orders },
            idle: &self.idle(),
            answers: &self.answers(),
            follows: self.gather.follows(),
            policy: &self.shared.settings.policy,
            freshness: self.gather.freshness(),
            removals: self.record.removals(),
            suspicion: &self.suspicion,
            overrides: &log.overrides,
            now,
        });
        self.suspicion.take(&plan.signs, now);
        if self.suspicion.wants_lists() {
            self.gather.look_again();
        }
        plan
    }

    fn forgets_orders(&self) -> bool {
        let opened = self.record.author().map(|author| author.since);
        planted(Mutant::OrderForgotten) && self.record.log().orders.iter().any(|(_, order)| Some(order.since) < opened)
    }

    fn idle(&self) -> BTreeSet<NodeUid> {
        // Asked with every answer of every load balancer, and nearly always nobody drains.
        if !self.departures.anybody_drains() {
            return BTreeSet::new();
        }
        self.departures.idle(&self.record.log().membership, &sights(&self.shared.board, self.shared.clock.now()))
    }

    /// Who answers the load balancers' probes, where that matters.
    fn answers(&self) -> BTreeMap<IpAddr, bool> {
        let matters = self.shared.settings.policy.not_ready == NotReady::Probe;
        if matters { answers(&self.shared.board) } else { BTreeMap::new() }
    }

    /// A load balancer has said what it counts and what its probes find: decides again if something may follow from that.
    pub(super) fn counted(&mut self) {
        if !self.record.leads() {
            return;
        }
        let (idle, answers) = (self.idle(), self.answers());
        if idle == self.idle_before && answers == self.answers_before {
            return;
        }
        (self.idle_before, self.answers_before) = (idle, answers);
        self.gather.plan_again();
    }

    fn watch_departures(&mut self) {
        let log = self.record.log();
        self.departures.update(&log.membership, log.position, watched(self.gather.view().nodes()));
    }

    fn mind_finalizers(&mut self, plan: &Plan) {
        let now = self.shared.clock.now();
        let nodes: Vec<_> = self.gather.view().nodes().zip(&plan.judged).collect();
        let scene = finalizers::Scene {
            nodes: &nodes,
            membership: &self.record.log().membership,
            departures: &self.departures,
            sights: &sights(&self.shared.board, now),
            settled: !self.record.is_stuck(),
            now,
        };
        self.finalizers.plan(scene, self.record.tenure());
        let deadline = self.finalizers.deadline().map(|at| Instant::now() + elapsed(now, at));
        self.wake_at = [self.wake_at, deadline].into_iter().flatten().min();
    }

    pub(super) fn committed(&mut self, entry: &LogEntry) {
        self.watch_departures();
        for change in &entry.changes {
            let (from, to) = (change.from.as_str(), change.phase().as_str());
            info!(node = %change.node, from, to, rule = %change.rule, position = %entry.position(), "{}", change.observation);
        }
        for order in &entry.orders {
            info!(%order, position = %entry.position(), "order recorded");
        }
        for change in &entry.overrides {
            info!(%change, position = %entry.position(), "override recorded");
        }
        self.housekeeper.committed(entry, self.record.log());
        if let Some(tenure) = self.record.tenure() {
            for event in events_of(entry) {
                self.events.tell(tenure, event);
            }
        }
    }

    /// Publishes what is recorded, if this process still leads: a commit may have taken longer than the Lease.
    pub(super) fn publish(&mut self) {
        let Some(tenure) = self.record.tenure() else { return };
        self.outlet.publish(self.record.log(), Some(tenure), &self.shared.settings);
        let published = self.outlet.published().is_some_and(|state| state.position == self.record.position());
        if let Some(event) = self.event.take().filter(|_| published) {
            self.latency.committed(self.record.position(), event);
        }
    }

    /// The planted bug: what is not recorded leaves this process.
    fn publish_unrecorded(&mut self) {
        if let (Some(foreseen), Some(tenure)) = (self.record.foreseen(), self.record.tenure()) {
            self.outlet.publish(&foreseen, Some(tenure), &self.shared.settings);
        }
    }

    /// Opens a term above a load balancer that is ahead of the log, when that is safe.
    pub(super) async fn go_past(
        &mut self,
        balancer: &LoadBalancerName,
        theirs: Position,
    ) -> Result<(), ControllerError> {
        let fresh = self.gather.freshness().problem().is_none();
        let may_lead =
            fresh && self.outlet.starved().blocking.is_empty() && !self.record.is_stuck() && self.record.leads();
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

    /// Says what is held back. A follower would say the same as the leader.
    fn tell_holds(&mut self, plan: &Plan) {
        let Some(tenure) = self.record.tenure() else { return };
        for hold in self.holds.tell(&plan.holds) {
            self.events.tell(tenure, event_of_hold(hold));
        }
    }

    /// Notes what the plan waits for.
    fn look_ahead(&mut self, plan: &Plan) {
        let now = self.shared.clock.now();
        self.wake_at = plan.wake_at.map(|at| Instant::now() + elapsed(now, at));
        let log = self.record.log();
        let mut wanted = plan.confirm.clone();
        wanted.extend(self.unseen_orders());
        self.gather.want(wanted, |uid| log.membership.get(uid).is_some() || log.orders.get(uid).is_some());
    }

    pub(super) fn show(&mut self, plan: &Plan) {
        let scene = Scene {
            plan,
            membership: &self.record.log().membership,
            leader: self.leader(),
            published: self.outlet.published(),
            starved: self.outlet.starved(),
            finalizers: self.finalizers.held(),
            orders: &self.record.log().orders,
            overrides: &self.record.log().overrides,
            trouble: Trouble { view: self.gather.problem(), store: self.record.trouble(), rival: self.rival.clone() },
            last_list: self.gather.last_list(),
            follows: self.gather.follow_statuses(),
        };
        let picture = self.memory.draw(scene, self.shared.clock.now());
        self.shared.board.hang(picture);
    }

    fn leader(&self) -> Leader {
        let is_self = self.record.leads();
        if let Some(author) = self.record.author() {
            return Leader { is_self, ..author.clone() };
        }
        let holder = self.office.leader().unwrap_or_else(|| "nobody".to_owned());
        Leader { holder, term: self.record.position().term, is_self, since: self.shared.clock.now() }
    }
}
