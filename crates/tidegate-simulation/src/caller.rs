//! How a process reaches the world: through its gate, over a network, and back through its gate.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::life::Life;
use crate::trip::{Fate, Trip};
use crate::world::{State, World};

/// The hands of one process.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) world: Arc<World>,
    pub(crate) life: Arc<Life>,
}

impl Caller {
    /// Asks a server; nothing when no answer came. What was sent arrives whatever becomes of the process.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        trip: impl FnOnce(&mut State) -> Trip,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Option<T> {
        let world = self.world.clone();
        self.travel(trip, async move { Some(work(&mut world.state())) }).await
    }

    /// As [`Self::call`], with work that takes time.
    pub(crate) async fn travel<T: Send + 'static>(
        &self,
        trip: impl FnOnce(&mut State) -> Trip,
        work: impl Future<Output = Option<T>> + Send + 'static,
    ) -> Option<T> {
        self.life.gate().await;
        let trip = trip(&mut self.world.state());
        let answer = match trip.fate {
            Fate::Answered => {
                let answer = tokio::time::timeout(trip.patience + trip.out, send(trip, work)).await;
                sleep(trip.back).await;
                answer.ok().and_then(Result::ok).flatten()
            }
            Fate::AnswerLost => {
                drop(send(trip, work));
                sleep(trip.patience).await;
                None
            }
            Fate::Lost => {
                sleep(trip.patience).await;
                None
            }
            Fate::Refused => {
                sleep(trip.out).await;
                None
            }
        };
        self.life.gate().await;
        answer
    }
}

/// Puts a request on the wire.
fn send<T: Send + 'static>(
    trip: Trip,
    work: impl Future<Output = Option<T>> + Send + 'static,
) -> oneshot::Receiver<Option<T>> {
    let (answer, receiver) = oneshot::channel();
    tokio::spawn(async move {
        sleep(trip.out).await;
        // Nobody waits any more: what was done is done.
        drop(answer.send(work.await));
    });
    receiver
}
