//! People who drain nodes: they ask one controller after the other until one says yes.

use std::sync::Arc;

use tidegate_controller::ApiState;
use tidegate_core::order::OrderKind;

use crate::parties::Slot;
use crate::violation::Invariant;
use crate::world::World;

/// What somebody wants, and whom they may ask.
pub(crate) struct Wish {
    pub(crate) slot: Slot,
    pub(crate) kind: OrderKind,
    pub(crate) controllers: Vec<ApiState>,
}

/// Asks; an answer that says yes must be in the log.
pub(crate) async fn ask(world: Arc<World>, wish: Wish) {
    for controller in wish.controllers {
        let (node, by, why) = (wish.slot.name(), "operator".to_owned(), "simulated".to_owned());
        let reply = match wish.kind {
            OrderKind::Drain => controller.drain(node, by, why).await,
            OrderKind::Undrain | OrderKind::Forget => controller.undrain(node, by, why).await,
        };
        let Ok(reply) = reply else { continue };
        let mut state = world.state();
        let (oracle, mut moment) = state.judge();
        moment.note(format_args!("{} of {} is recorded at {}", wish.kind.as_str(), reply.node, reply.position));
        if !oracle.has_committed(reply.position) {
            let detail = format_args!("an operator was told of {}, which is not in the log", reply.position);
            moment.accuse(Invariant::OnlyCommittedGoesOut, detail);
        }
        return;
    }
}
