//! How events of a watch get to a process, whatever they are about.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::caller::Caller;
use crate::fault::Fault;
use crate::parties::ReplicaId;
use crate::world::State;

/// How often a watch that stalls, or has no connection, looks whether that is over.
const STALL_STEP: Duration = Duration::from_millis(500);

/// Brings events to the process, in their order, when they get through; `received` is what the process makes of one.
pub(super) async fn carry<E, R>(
    caller: &Caller,
    events: &mut mpsc::UnboundedReceiver<E>,
    out: &mpsc::Sender<R>,
    received: impl Fn(E) -> R,
) {
    let replica = caller.life.replica;
    while let Some(event) = events.recv().await {
        let mut waited = false;
        while stalls(&mut caller.world.state(), replica) {
            waited = true;
            sleep(STALL_STEP).await;
        }
        if !waited && events.is_empty() {
            let lag = caller.world.state().network.millis(1, 20);
            sleep(lag).await;
        }
        caller.life.gate().await;
        if out.send(received(event)).await.is_err() {
            return;
        }
    }
}

fn stalls(state: &mut State, replica: ReplicaId) -> bool {
    state.weather.has(Fault::WatchStalls { replica }) || state.weather.api_cut(replica).is_some()
}
