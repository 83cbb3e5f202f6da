//! Everything that runs beside the loop is part of one future: it stops when that is dropped, stands still while that is
//! not polled, and runs in an order that depends on nothing but what happens. A paused process is all of it at once.

use std::convert::Infallible;
use std::future::Future;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

/// Hands work to a [`Crew`].
#[derive(Clone)]
pub(super) struct Tasks(mpsc::UnboundedSender<BoxFuture<'static, ()>>);

impl Tasks {
    /// Starts this beside the loop. It is dropped unfinished when the controller ends.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // The crew is gone only when everything ends.
        drop(self.0.send(Box::pin(task)));
    }
}

/// Whatever runs beside the loop.
pub(super) struct Crew {
    new: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Crew {
    /// A crew without work, and the way to give it some.
    pub(super) fn new() -> (Tasks, Self) {
        let (sender, new) = mpsc::unbounded_channel();
        (Tasks(sender), Self { new, running: FuturesUnordered::new() })
    }

    /// Runs what was started, for ever.
    pub(super) async fn run(mut self) -> Infallible {
        loop {
            tokio::select! {
                biased;
                Some(task) = self.new.recv() => self.running.push(task),
                Some(()) = self.running.next(), if !self.running.is_empty() => {}
                // Nobody can start anything any more, and nothing runs.
                else => std::future::pending().await,
            }
        }
    }
}
