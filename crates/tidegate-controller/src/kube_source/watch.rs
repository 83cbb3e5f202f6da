//! The watch: streaming lists where the server has them, LIST and WATCH where it has not.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::Api;
use kube::runtime::watcher::{self, Config, Event, watcher};
use tidegate_core::node::Node;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use super::object::NodeObject;
use super::trim::Trimmer;
use crate::retry::Retry;
use crate::source::{Observation, WatchEvent};

/// A watch is renewed this often; with kube's margin of 5 s a dead one is noticed in 65 s.
const WATCH_SECONDS: u32 = 60;
/// The first complete set of a large cluster takes seconds; a server that cannot stream never sends it.
const INIT_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// Kubernetes 1.32 and etcd 3.4.31 / 3.5.13, or later.
    Streaming,
    /// Any server.
    ListThenWatch,
}

/// How one stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nobody listens any more.
    Unheard,
    /// The server cannot stream lists.
    CannotStream,
    /// It never became complete.
    Stuck,
}

/// Watches until nobody listens. Every failure is followed by another attempt.
pub(super) async fn run(api: Api<NodeObject>, trimmer: Arc<Trimmer>, out: mpsc::Sender<Observation>) {
    let mut strategy = Strategy::Streaming;
    let mut session = Session { trimmer, out, retry: Retry::new(Duration::from_millis(200), Duration::from_secs(10)) };
    loop {
        let base = Config::default().timeout(WATCH_SECONDS);
        let config = if strategy == Strategy::Streaming { base.streaming_lists() } else { base };
        let stream = pin!(watcher(api.clone(), config));
        match session.follow(stream, strategy).await {
            End::Unheard => return,
            End::CannotStream => {
                info!("this API server (or its etcd) cannot stream lists: using LIST and WATCH from now on");
                strategy = Strategy::ListThenWatch;
            }
            End::Stuck => session.pause("the watch did not become complete in time").await,
        }
    }
}

struct Session {
    trimmer: Arc<Trimmer>,
    out: mpsc::Sender<Observation>,
    retry: Retry,
}

impl Session {
    /// Passes on what the stream says. Nothing of a set that is not complete yet leaves here.
    async fn follow<S>(&mut self, mut stream: std::pin::Pin<&mut S>, strategy: Strategy) -> End
    where
        S: Stream<Item = watcher::Result<Event<NodeObject>>>,
    {
        let mut unfinished: Option<Vec<Node>> = Some(Vec::new());
        let mut init_deadline = Instant::now() + INIT_LIMIT;
        loop {
            let next = tokio::select! {
                () = self.out.closed() => return End::Unheard,
                next = next_of(&mut stream, unfinished.is_some().then_some(init_deadline)) => next,
            };
            let event = match next {
                Some(Ok(event)) => event,
                Some(Err(error)) if strategy == Strategy::Streaming && unfinished.is_some() && is_incapable(&error) => {
                    debug!(%error, "streaming list failed");
                    return End::CannotStream;
                }
                Some(Err(error)) => {
                    self.pause(&error.to_string()).await;
                    init_deadline = Instant::now() + INIT_LIMIT;
                    continue;
                }
                None if strategy == Strategy::Streaming => return End::CannotStream,
                None => return End::Stuck,
            };
            match event {
                Event::Init => {
                    // A server that begins again and again does not get more time.
                    if unfinished.replace(Vec::new()).is_none() {
                        init_deadline = Instant::now() + INIT_LIMIT;
                    }
                }
                Event::InitApply(object) => {
                    let node = self.trimmer.trim(&object);
                    unfinished.get_or_insert_default().extend(node);
                }
                Event::InitDone => {
                    let nodes = unfinished.take().unwrap_or_default();
                    self.tell(Some(WatchEvent::Listed(nodes))).await;
                }
                Event::Apply(object) => self.tell(self.trimmer.trim(&object).map(WatchEvent::Applied)).await,
                Event::Delete(object) => {
                    let gone = self.trimmer.identify(&object);
                    self.tell(gone.map(|(name, uid)| WatchEvent::Deleted(name, uid))).await;
                }
            }
        }
    }

    async fn tell(&mut self, event: Option<WatchEvent>) {
        if self.retry.succeeded() {
            info!("the watch of the nodes goes on");
        }
        if let Some(event) = event {
            // When nobody listens, the next turn of the loop ends it.
            drop(self.out.send(Observation::now(event)).await);
        }
    }

    async fn pause(&mut self, why: &str) {
        let wait = self.retry.failed();
        if self.retry.is_first_failure() {
            warn!(why, "the watch of the nodes failed; trying again");
        }
        sleep(wait).await;
    }
}

/// The next item; nothing when the deadline passes or the stream ends.
async fn next_of<S: Stream>(stream: &mut std::pin::Pin<&mut S>, deadline: Option<Instant>) -> Option<S::Item> {
    match deadline {
        Some(deadline) => timeout_at(deadline, stream.next()).await.ok().flatten(),
        None => stream.next().await,
    }
}

/// Whether the server says that it does not know streaming lists: an old etcd answers 500, an old
/// server 400 or 422. A server that is merely in trouble costs us the better strategy, no more.
fn is_incapable(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => return false,
    };
    matches!(code, 400 | 422 | 500)
}
