//! The committed log: one line, and each of its steps justified by what is true.

use std::time::Duration;

use tidegate_core::desired::DesiredState;
use tidegate_core::eligibility::{Class, Rule};
use tidegate_core::ids::ClusterName;
use tidegate_core::log::{Change, LogEntry, Phase};
use tidegate_core::membership::{Member, MemberState};
use tidegate_core::order::OrderKind;
use tidegate_core::position::Position;

use super::{Moment, Oracle};
use crate::violation::Invariant;

/// A LIST counts as recent up to this age (guard G0: one and a half resyncs), and a breath for the way.
const FRESH: Duration = Duration::from_millis(91_000);
/// The oldest news that a controller with a working watch may act on.
pub(super) const OLDEST_NEWS: Duration = Duration::from_secs(150);

/// What was so when an entry was offered for the first time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) at: Duration,
    /// When the offering process's last LIST had been begun.
    listed: Option<Duration>,
    /// When its last LIST of the pods had been begun.
    pub(super) listed_pods: Option<Duration>,
    /// Whether its watch may tell old news.
    pub(super) watch_lags: bool,
}

impl Offer {
    /// Whether a LIST that had been begun then was recent enough to act on.
    pub(super) fn trusts(&self, listed: Option<Duration>) -> bool {
        listed.is_some_and(|listed| listed + FRESH >= self.at)
    }
}

/// Open connections to a member, over all load balancers.
pub(crate) type Connections<'a> = &'a dyn Fn(&Member) -> u64;

/// One node's step of a commit.
#[derive(Clone, Copy)]
struct Step<'a> {
    entry: &'a LogEntry,
    change: &'a Change,
    offer: Option<&'a Offer>,
}

impl Oracle {
    /// A process is about to send an entry.
    pub(crate) fn offered(&mut self, moment: &mut Moment<'_>, entry: &LogEntry, watch_lags: bool) {
        let key = (entry.revision, entry.term, entry.holder.clone());
        let listed = self.listed.get(&entry.holder).copied();
        let listed_pods = self.listed_pods.get(&entry.holder).copied();
        self.offers.entry(key).or_insert(Offer { at: moment.now, listed, listed_pods, watch_lags });
    }

    /// The store refused an entry, because its revision is taken.
    pub(crate) fn refused(&mut self, entry: &LogEntry) {
        if entry.term < self.log.position.term {
            self.counts.old_terms_refused_by_the_store += 1;
        }
    }

    /// The store took an entry.
    pub(crate) fn committed(&mut self, moment: &mut Moment<'_>, entry: &LogEntry, connections: Connections<'_>) {
        moment.note(format_args!("commit {} by {}: {}", entry.position(), entry.holder, words(entry)));
        self.counts.commits += 1;
        let opener = self.openers.entry(entry.term).or_insert_with(|| entry.holder.clone());
        if *opener != entry.holder {
            let detail = format_args!("{} wrote in term {}, which {opener} opened", entry.holder, entry.term);
            moment.accuse(Invariant::TermHasOneHolder, detail);
        }
        self.counts.elections += u64::from(entry.is_election());
        let key = (entry.revision, entry.term, entry.holder.clone());
        let offer = self.offers.get(&key).copied();
        for change in &entry.changes {
            self.judge(moment, Step { entry, change, offer: offer.as_ref() }, connections);
        }
        let carried = self.carriers();
        self.take(moment, entry);
        if let Some(offer) = offer {
            self.judge_last_carrier(moment, entry, &offer, carried);
        }
    }

    /// Whether there is such an entry.
    pub(crate) fn has_committed(&self, position: Position) -> bool {
        self.contents.contains_key(&position)
    }

    fn take(&mut self, moment: &mut Moment<'_>, entry: &LogEntry) {
        let active = self.log.membership.active();
        if let Err(error) = self.log.append(entry) {
            moment.accuse(Invariant::LogIsLinear, format_args!("{error}"));
            return;
        }
        if active > 0 && self.log.membership.active() == 0 {
            moment.accuse(Invariant::NeverEmpty, format_args!("{} leaves no active node", entry.position()));
        }
        for change in &entry.changes {
            if change.to.is_none() {
                self.left_at.insert(change.uid.clone(), entry.position());
            }
        }
        self.counts.orders += entry.orders.len() as u64;
        let back = entry.orders.iter().filter(|order| order.kind != OrderKind::Drain);
        self.let_back.extend(back.map(|order| (order.uid.clone(), moment.now)));
        self.offers.retain(|(revision, ..), _| *revision > entry.revision);
        let state = DesiredState::derive(cluster(), entry.position(), &self.log.membership, &self.listeners);
        self.contents.insert(entry.position(), state.hash);
    }

    fn judge(&mut self, moment: &mut Moment<'_>, step: Step<'_>, connections: Connections<'_>) {
        let Step { entry, change, offer } = step;
        let before = self.log.membership.get(&change.uid).cloned();
        let (from, to) = (Phase::of(before.as_ref()), change.phase());
        if from == Phase::Active && to != Phase::Active {
            self.counts.removals += 1;
            if let Some(offer) = offer {
                self.judge_removal(moment, entry, change, offer);
            }
        }
        if from != Phase::Active && to == Phase::Active {
            let ordered = self.log.orders.with(&entry.orders, entry.at);
            if ordered.get(&change.uid).is_some() {
                moment.accuse(Invariant::OrderIsKept, format_args!("{} is active again", change.node));
            }
        }
        if let (Some(before), Some(offer)) = (&before, offer) {
            self.judge_parting(moment, change, before, offer);
        }
        if let Some(before) = before {
            self.judge_drain(moment, step, &before, connections);
        }
    }

    fn judge_removal(&mut self, moment: &mut Moment<'_>, entry: &LogEntry, change: &Change, offer: &Offer) {
        let (node, rule) = (&change.node, change.rule);
        let existing = self.healthy_since.get(&change.uid);
        if matches!(rule, Rule::Gone | Rule::Replaced) && existing.is_some() {
            moment.accuse(Invariant::GoneIsGone, format_args!("{node} went by rule {rule}, but exists"));
        }
        if (rule.class() == Class::Involuntary || rule == Rule::Gone) && !offer.trusts(offer.listed) {
            let detail = format_args!("{node} went by rule {rule}; the last LIST began at {:?}", offer.listed);
            moment.accuse(Invariant::StaleTakesNothing, detail);
        }
        let ordered = self.log.orders.with(&entry.orders, entry.at).get(&change.uid).is_some();
        let well = existing.copied().flatten().filter(|since| *since + OLDEST_NEWS < offer.at);
        if let Some(since) = well.filter(|_| !ordered && !offer.watch_lags) {
            let detail = format_args!("{node} went by rule {rule}, but has been well since {:.3}", since.as_secs_f64());
            moment.accuse(Invariant::HealthyStays, detail);
        }
    }

    fn judge_drain(&mut self, moment: &mut Moment<'_>, step: Step<'_>, before: &Member, connections: Connections<'_>) {
        let Step { entry, change, .. } = step;
        let MemberState::Draining { deadline } = before.state else { return };
        match change.to.as_ref().map(|m| m.state) {
            Some(MemberState::Draining { deadline: later }) if later > deadline => {
                let detail = format_args!("{}: from {deadline} to {later}", change.node);
                moment.accuse(Invariant::DrainEndsOnTime, detail);
            }
            None if entry.at < deadline && !ends_at_once(change.rule) => {
                self.counts.early_drains += 1;
                let open = connections(before);
                if open > 0 {
                    let detail = format_args!("{} left before {deadline} with {open} connections", change.node);
                    moment.accuse(Invariant::DrainWaits, detail);
                }
            }
            _ => {}
        }
    }
}

/// Rules that wait for no connection.
const fn ends_at_once(rule: Rule) -> bool {
    matches!(rule, Rule::OutOfService | Rule::Replaced)
}

fn words(entry: &LogEntry) -> String {
    let changes = entry.changes.iter().map(|c| format!("{} {} ({})", c.node, c.phase().as_str(), c.rule));
    let orders = entry.orders.iter().map(|o| format!("{} {}", o.kind.as_str(), o.node));
    let all: Vec<String> = changes.chain(orders).chain(entry.repairs.iter().cloned()).collect();
    if all.is_empty() { "election".to_owned() } else { all.join(", ") }
}

/// The cluster of every run.
pub(crate) fn cluster() -> ClusterName {
    ClusterName::parse("simulated").expect("letters are a name")
}
