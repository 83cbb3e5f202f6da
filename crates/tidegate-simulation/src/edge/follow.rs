//! LIST and watch of the pods: a consistent LIST, a watch from there on, and the same again at each resync.

use std::time::Duration;

use tidegate_controller::{FollowEvent, FollowSource};
use tidegate_core::follow::Follow;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::{unanswered, watch};
use crate::caller::Caller;
use crate::world::State;

/// From a LIST that failed to the next.
const RETRY: Duration = Duration::from_secs(5);

pub(super) struct SimulatedFollow(pub(super) Caller);

impl FollowSource for SimulatedFollow {
    fn follow(&self, _: &Follow, resync: Duration) -> mpsc::Receiver<FollowEvent> {
        let (out, receiver) = mpsc::channel(1024);
        tokio::spawn(go_on(self.0.clone(), resync, out));
        receiver
    }
}

/// Until nobody listens.
async fn go_on(caller: Caller, resync: Duration, out: mpsc::Sender<FollowEvent>) {
    while !out.is_closed() {
        let started = Instant::now();
        let Some(mut events) = list(&caller, started, &out).await else {
            drop(out.send(FollowEvent::Failed(unanswered())).await);
            sleep(RETRY).await;
            continue;
        };
        drop(out.send(FollowEvent::Watching).await);
        // What is on its way when the time has come is in the next LIST.
        drop(timeout_at(started + resync, watch::carry(&caller, &mut events, &out, |event| event)).await);
    }
}

/// Tells a complete LIST; gives what happens from there on.
async fn list(
    caller: &Caller,
    started: Instant,
    out: &mpsc::Sender<FollowEvent>,
) -> Option<mpsc::UnboundedReceiver<FollowEvent>> {
    let (replica, began) = (caller.life.replica, caller.world.now());
    let (sender, events) = mpsc::unbounded_channel();
    let read = move |state: &mut State| {
        state.pods.watch(replica, sender);
        state.pods.objects()
    };
    let objects = caller.call(|state| state.list_trip(replica), read).await?;
    {
        let mut state = caller.world.state();
        let (oracle, mut moment) = state.judge();
        oracle.listed_pods(&caller.life.holder, began);
        moment.note(format_args!("{} lists {} pods", caller.life.holder, objects.len()));
    }
    out.send(FollowEvent::Listed { started, objects }).await.ok()?;
    Some(events)
}
