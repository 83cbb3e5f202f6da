//! What operators ask for: recorded before it is answered, so that every later leader keeps it.

use tidegate_core::guard::OverrideChange;
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::log::Decision;
use tidegate_core::order::{OrderChange, OrderKind};
use tidegate_core::position::Position;
use tidegate_core::time::after;

use super::Reconciler;
use crate::controller::ControllerError;
use crate::orders::{Answer, OrderError, OrderReply, OrderRequest, OverrideReply, OverrideRequest};

/// Answers with what came of it, and goes on with what ends the loop. Whoever asked may have gone: what is recorded stays.
fn tell<T>(answer: Answer<T>, outcome: Result<Result<T, OrderError>, ControllerError>) -> Result<(), ControllerError> {
    let (reply, end) = match outcome {
        Ok(reply) => (reply, Ok(())),
        Err(error) => (Err(OrderError::StoreStuck { detail: error.to_string() }), Err(error)),
    };
    drop(answer.send(reply));
    end
}

impl Reconciler {
    /// Follows a request, or says why not. Being frozen is no obstacle: an operator knows more than a stale view.
    pub(super) async fn order(
        &mut self,
        request: OrderRequest,
        answer: Answer<OrderReply>,
    ) -> Result<(), ControllerError> {
        let outcome = match self.check(&request) {
            Ok(change) => self.record_order(change).await,
            Err(Ok(reply)) => Ok(Ok(reply)),
            Err(Err(refusal)) => Ok(Err(refusal)),
        };
        tell(answer, outcome)
    }

    /// Lets through what a guard holds, for a while, or says why not.
    pub(super) async fn override_guard(
        &mut self,
        request: OverrideRequest,
        answer: Answer<OverrideReply>,
    ) -> Result<(), ControllerError> {
        let OverrideRequest { guard, lasts, by, why } = request;
        let refusal = if guard.can_be_overridden() { self.refusal() } else { Some(OrderError::NoOverride { guard }) };
        if let Some(refusal) = refusal {
            return tell(answer, Ok(Err(refusal)));
        }
        let until = after(self.shared.clock.now(), lasts);
        let change = OverrideChange { guard, until, by, why };
        let decision = Decision { overrides: vec![change], ..Decision::default() };
        let recorded = self.record_wish(decision).await;
        tell(answer, recorded.map(|position| position.map(|position| OverrideReply { guard, until, position })))
    }

    /// Why nothing can be recorded at the moment.
    fn refusal(&self) -> Option<OrderError> {
        if !self.record.leads() {
            let leader = self.office.leader().filter(|holder| *holder != self.shared.settings.holder);
            return Some(OrderError::NotLeader { leader });
        }
        self.record.is_stuck().then(|| {
            let detail = self.record.trouble().unwrap_or_else(|| "the store does not answer".to_owned());
            OrderError::StoreStuck { detail }
        })
    }

    /// What to record; or the answer to a request with which there is nothing to do.
    fn check(&self, request: &OrderRequest) -> Result<OrderChange, Result<OrderReply, OrderError>> {
        if let Some(refusal) = self.refusal() {
            return Err(Err(refusal));
        }
        let OrderRequest { node, kind, by, why } = request.clone();
        let Some(uid) = self.uid_of(&node) else { return Err(Err(OrderError::NoSuchNode { node })) };
        let already = match (kind, self.record.log().orders.get(&uid)) {
            (OrderKind::Drain, Some(order)) => {
                let why = if order.why.is_empty() { String::new() } else { format!(": {}", order.why) };
                Some(format!("{node} is drained already, by {} since {}{why}", order.by, order.since))
            }
            (OrderKind::Undrain | OrderKind::Forget, None) => Some(format!("{node} is not drained by an order")),
            _ => None,
        };
        match already {
            Some(_) => Err(Ok(OrderReply { node, uid, position: self.record.position(), already })),
            None => Ok(OrderChange { uid, node, kind, by, why }),
        }
    }

    async fn record_order(&mut self, change: OrderChange) -> Result<Result<OrderReply, OrderError>, ControllerError> {
        let (node, uid) = (change.node.clone(), change.uid.clone());
        let position = self.record_wish(Decision { orders: vec![change], ..Decision::default() }).await?;
        Ok(position.map(|position| OrderReply { node, uid, position, already: None }))
    }

    /// Records what an operator wants; where.
    async fn record_wish(&mut self, decision: Decision) -> Result<Result<Position, OrderError>, ControllerError> {
        let Some(entry) = self.record.commit(decision).await? else {
            let detail = self.record.trouble().unwrap_or_else(|| "this controller stopped leading".to_owned());
            return Ok(Err(OrderError::StoreStuck { detail }));
        };
        self.committed(&entry);
        // Nothing may follow from it, and a load balancer that lags behind the log is waited for. What does follow is the
        // next decision, a moment from now.
        self.publish();
        self.gather.plan_again();
        Ok(Ok(entry.position()))
    }

    /// The node of this name: as it is observed, else as it is remembered.
    fn uid_of(&self, name: &NodeName) -> Option<NodeUid> {
        let log = self.record.log();
        let member = || log.membership.members().iter().find(|(_, member)| member.node == *name).map(|(uid, _)| uid);
        let ordered = || log.orders.iter().find(|(_, order)| order.node == *name).map(|(uid, _)| uid);
        self.gather.view().get(name).map(|node| &node.uid).or_else(member).or_else(ordered).cloned()
    }

    /// Orders about nodes that are certainly gone end with them.
    pub(super) fn forgotten(&self) -> Vec<OrderChange> {
        let (view, log) = (self.gather.view(), self.record.log());
        let gone = log.orders.iter().filter(|(uid, _)| view.is_confirmed_gone(uid));
        gone.map(|(uid, order)| OrderChange {
            uid: uid.clone(),
            node: order.node.clone(),
            kind: OrderKind::Forget,
            by: "tidegate".to_owned(),
            why: "the node is gone".to_owned(),
        })
        .collect()
    }

    /// Ordered nodes that are not observed (perhaps another one of their name is), and that are no members: nobody else
    /// asks about them.
    pub(super) fn unseen_orders(&self) -> Vec<(NodeName, NodeUid)> {
        let (view, log) = (self.gather.view(), self.record.log());
        let unseen = |uid: &NodeUid, name: &NodeName| {
            let observed = view.get(name).is_some_and(|node| node.uid == *uid);
            view.is_listed() && !observed && log.membership.get(uid).is_none()
        };
        let unseen = log.orders.iter().filter(|(uid, order)| unseen(uid, &order.node));
        unseen.map(|(uid, order)| (order.node.clone(), uid.clone())).collect()
    }
}
