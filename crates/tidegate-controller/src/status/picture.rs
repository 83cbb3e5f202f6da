//! One consistent picture of what was decided, drawn by the loop after each decision.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_core::desired::DesiredState;
use tidegate_core::guard::Overrides;
use tidegate_core::ledger::Ledger;
use tidegate_core::membership::Membership;
use tidegate_core::order::Orders;
use tidegate_core::plan::Plan;
use tidegate_core::protocol::Live;
use tidegate_core::status::{FinalizerStatus, FollowStatus, Frozen, GuardStatus, Leader, NodeStatus};
use tokio::time::Instant;

use super::guards::{Held, Starved, guard_statuses};
use super::nodes::{Speaking, node_statuses};

/// What was decided, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) leader: Leader,
    /// What was published last.
    pub(crate) published: Option<Arc<DesiredState>>,
    pub(crate) frozen: Option<Frozen>,
    pub(crate) nodes: Vec<NodeStatus>,
    pub(crate) guards: Vec<GuardStatus>,
    pub(crate) finalizers: Vec<FinalizerStatus>,
    pub(crate) orders: Orders,
    pub(crate) overrides: Overrides,
    /// When the last LIST that finished had been started.
    pub(crate) last_list: Option<Instant>,
    pub(crate) follows: Vec<FollowStatus>,
}

impl Picture {
    /// What every load balancer should serve.
    pub(crate) fn desired(&self) -> Option<Live> {
        self.published.as_ref().map(|state| Live { position: state.position, hash: state.hash })
    }
}

/// Since when things have been so.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rules: Ledger<Speaking>,
    holds: Ledger<Held>,
    frozen: Ledger<()>,
}

/// Why nothing is taken out: the view is stale, or the store does not answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    pub(crate) view: Option<String>,
    pub(crate) store: Option<String>,
    /// Another controller, elected by another Lease, writes to the same store.
    pub(crate) rival: Option<String>,
}

/// Everything that a picture shows.
pub(crate) struct Scene<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) membership: &'a Membership,
    pub(crate) leader: Leader,
    pub(crate) published: Option<Arc<DesiredState>>,
    pub(crate) starved: &'a Starved,
    pub(crate) finalizers: Vec<FinalizerStatus>,
    pub(crate) orders: &'a Orders,
    pub(crate) overrides: &'a Overrides,
    pub(crate) trouble: Trouble,
    pub(crate) last_list: Option<Instant>,
    pub(crate) follows: Vec<FollowStatus>,
}

impl Memory {
    /// Draws the picture, and remembers since when.
    pub(crate) fn draw(&mut self, scene: Scene<'_>, now: Timestamp) -> Picture {
        let Trouble { view, store, rival } = scene.trouble;
        let reasons: Vec<String> = view.into_iter().chain(store).chain(rival).collect();
        self.frozen.update((!reasons.is_empty()).then_some(()), now);
        let frozen = self.frozen.since(&()).map(|since| Frozen { reason: reasons.join("; "), since });
        Picture {
            leader: scene.leader,
            published: scene.published,
            frozen,
            nodes: node_statuses(scene.plan, scene.membership, &mut self.rules, now),
            guards: guard_statuses(&scene.plan.holds, scene.starved, &mut self.holds, now),
            finalizers: scene.finalizers,
            orders: scene.orders.clone(),
            overrides: scene.overrides.clone(),
            last_list: scene.last_list,
            follows: scene.follows,
        }
    }
}
