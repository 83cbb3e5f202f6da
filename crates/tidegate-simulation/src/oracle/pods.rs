//! Who should carry listener `web`, worked out from what is true of the pods.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidegate_core::eligibility::Rule;
use tidegate_core::follow::InstanceState;
use tidegate_core::ids::NodeName;
use tidegate_core::log::{Change, LogEntry};
use tidegate_core::membership::Member;

use super::record::{OLDEST_NEWS, Offer};
use super::{Moment, Oracle};
use crate::settings::web;
use crate::violation::Invariant;

/// What is true of the pod of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Since when there has been one.
    there: Duration,
    /// Since when it has been Ready.
    ready: Option<Duration>,
}

impl Oracle {
    /// The pods have changed.
    pub(crate) fn sees_pods(&mut self, states: &BTreeMap<NodeName, InstanceState>, now: Duration) {
        let known = |(node, state): (&NodeName, &InstanceState)| {
            let before = self.pods.get(node);
            let ready = (*state == InstanceState::Ready).then(|| before.and_then(|b| b.ready).unwrap_or(now));
            (node.clone(), Known { there: before.map_or(now, |b| b.there), ready })
        };
        self.pods = states.iter().map(known).collect();
    }

    /// A process got a LIST of the pods that it had begun then.
    pub(crate) fn listed_pods(&mut self, holder: &str, began: Duration) {
        self.listed_pods.insert(holder.to_owned(), began);
    }

    /// Nodes whose pod has been Ready for this long.
    pub(crate) fn ready_for(&self, length: Duration, now: Duration) -> BTreeSet<NodeName> {
        let long = |known: &Known| known.ready.is_some_and(|since| since + length <= now);
        self.pods.iter().filter(|(_, known)| long(known)).map(|(node, _)| node.clone()).collect()
    }

    /// Members that carry `web`.
    pub(super) fn carriers(&self) -> usize {
        let members = self.log.membership.members().values();
        members.filter(|member| member.is_active() && !member.apart.contains_key(&web())).count()
    }

    /// A member stops carrying `web`, and serves on otherwise.
    pub(super) fn judge_parting(&mut self, moment: &mut Moment<'_>, change: &Change, before: &Member, offer: &Offer) {
        let web = web();
        let Some(apart) = change.to.as_ref().filter(|to| to.is_active()).and_then(|to| to.apart.get(&web)) else {
            return;
        };
        if !before.is_active() || before.apart.contains_key(&web) {
            return;
        }
        self.counts.partings += 1;
        let (node, rule) = (&change.node, apart.rule);
        if !offer.trusts(offer.listed_pods) {
            let detail = format_args!("{node} left web by rule {rule}; its LIST began at {:?}", offer.listed_pods);
            moment.accuse(Invariant::StaleTakesNothing, detail);
        }
        let ready = self.pods.get(node).and_then(|known| known.ready).filter(|since| *since + OLDEST_NEWS < offer.at);
        let of_pods = matches!(rule, Rule::NoPod | Rule::PodEnding | Rule::PodNotReady);
        if let Some(since) = ready.filter(|_| of_pods && !offer.watch_lags) {
            let since = since.as_secs_f64();
            let detail = format_args!("{node} left web by rule {rule}, but its pod has been Ready since {since:.3}");
            moment.accuse(Invariant::HealthyStays, detail);
        }
    }

    /// Whoever has a pod, Ready or not, is better than nobody.
    pub(super) fn judge_last_carrier(&self, moment: &mut Moment<'_>, entry: &LogEntry, offer: &Offer, carried: usize) {
        if carried == 0 || self.carriers() > 0 || offer.watch_lags || !offer.trusts(offer.listed_pods) {
            return;
        }
        let long = |node: &NodeName| self.pods.get(node).is_some_and(|known| known.there + OLDEST_NEWS < offer.at);
        let mut members = self.log.membership.members().values().filter(|member| member.is_active());
        if let Some(member) = members.find(|member| long(&member.node)) {
            let detail = format_args!("{} leaves web to nobody, though {} has a pod", entry.position(), member.node);
            moment.accuse(Invariant::NeverEmpty, detail);
        }
    }
}
