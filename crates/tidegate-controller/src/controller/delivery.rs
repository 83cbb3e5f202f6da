//! Brings the newest publication to one load balancer, and finds out what is live there.
//!
//! Losing, repeating, delaying or reordering any message is safe: the agent takes only newer
//! positions, and every few seconds its status says whether it needs another push.

mod book;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tidegate_core::position::Position;
use tidegate_core::protocol::{AgentStatus, ApplyReport};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::input::Input;
use super::outlet::Publication;
use super::{Inputs, Shared};
use crate::publisher::{PublishError, Publisher};
use crate::status::Balancer;

use book::{Book, News};

/// How often the agent is asked what is live: a lost push is noticed within this.
const STATUS_EVERY: Duration = Duration::from_millis(2500);
/// One that is being applied, and the newest that waits for it.
const MAX_PUSHES: usize = 2;

type Pushed = (Position, Result<ApplyReport, PublishError>);
type Asked = (Instant, Result<AgentStatus, PublishError>);

/// The way to one load balancer.
pub(super) struct Delivery {
    publisher: Arc<dyn Publisher>,
    shared: Shared,
    view: watch::Sender<Balancer>,
    inputs: Inputs,
    book: Book,
}

impl Delivery {
    pub(super) fn new(
        shared: &Shared,
        publisher: Arc<dyn Publisher>,
        view: watch::Sender<Balancer>,
        inputs: Inputs,
    ) -> Self {
        let book = Book::new(publisher.name().clone());
        Self { publisher, shared: shared.clone(), view, inputs, book }
    }

    /// Runs until the loop is gone.
    pub(super) async fn run(mut self, mut desired: watch::Receiver<Publication>) {
        let mut pushes: FuturesUnordered<BoxFuture<'static, Pushed>> = FuturesUnordered::new();
        let mut polls: FuturesUnordered<BoxFuture<'static, Asked>> = FuturesUnordered::new();
        let mut poll_at = Instant::now();
        // Before the first publication nobody knows whether an agent is behind or ahead.
        if desired.changed().await.is_err() {
            return;
        }
        self.book.want(desired.borrow_and_update().clone());
        loop {
            if pushes.len() < MAX_PUSHES
                // Asked at the very last moment: a push that was due while this process was paused is not sent.
                && self.book.may_push()
                && let Some(state) = self.book.next_push()
            {
                let publisher = self.publisher.clone();
                pushes.push(Box::pin(async move { (state.position, publisher.push(&state).await) }));
            }
            if polls.is_empty() && poll_at <= Instant::now() {
                let (publisher, started) = (self.publisher.clone(), Instant::now());
                polls.push(Box::pin(async move { (started, publisher.status().await) }));
            }
            let news = tokio::select! {
                biased;
                changed = desired.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.book.want(desired.borrow_and_update().clone());
                    continue;
                }
                Some((position, result)) = pushes.next() => {
                    // The answer says what is live; what stands behind it (backends, reloads) is in the status.
                    poll_at = Instant::now();
                    self.pushed(position, result)
                }
                Some((started, result)) = polls.next() => {
                    poll_at = Instant::now() + STATUS_EVERY;
                    let counted = result.is_ok();
                    let news = self.book.asked(started, result, self.shared.clock.now());
                    News { counted, ..news }
                }
                () = sleep_until(poll_at), if polls.is_empty() => continue,
                () = sleep_until(self.book.retry_at()), if pushes.len() < MAX_PUSHES && self.book.may_push() => continue,
            };
            self.tell(news).await;
        }
    }

    fn pushed(&mut self, position: Position, result: Result<ApplyReport, PublishError>) -> News {
        let word = result.as_ref().map_or_else(PublishError::as_str, |report| report.outcome.as_str());
        self.shared.metrics.pushed(self.publisher.name(), word);
        self.book.pushed(position, result, self.shared.clock.now())
    }

    async fn tell(&mut self, news: News) {
        self.view.send_replace(self.book.view().clone());
        let balancer = || self.publisher.name().clone();
        // The loop is gone only when everything ends.
        if let Some(position) = news.live {
            drop(self.inputs.send(Input::Live { balancer: balancer(), position, at: Instant::now() }).await);
        }
        if news.counted {
            drop(self.inputs.send(Input::Counted).await);
        }
        if let Some(position) = news.ahead {
            drop(self.inputs.send(Input::Ahead { balancer: balancer(), position }).await);
        }
    }
}
