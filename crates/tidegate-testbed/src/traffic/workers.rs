//! The tasks that send: one dispatcher of new connections, one task per keep-alive connection.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Counts, Snapshot, Tally, TrafficOptions};
use crate::http::{self, Broken, Connection, Failure, Response};

/// More than this in flight and we would measure our own file descriptors.
const MAX_IN_FLIGHT: usize = 4000;
/// At most a quarter of a second's requests are sent at once.
const CATCH_UP: u32 = 4;
/// Requests become due in steps of this size.
const TICK: Duration = Duration::from_millis(2);

struct Context {
    options: TrafficOptions,
    tally: Arc<Tally>,
    stop: CancellationToken,
}

#[derive(Clone, Copy)]
enum Class {
    New,
    Keepalive,
}

impl Class {
    fn of(self, snapshot: &mut Snapshot) -> &mut Counts {
        match self {
            Self::New => &mut snapshot.new,
            Self::Keepalive => &mut snapshot.keepalive,
        }
    }
}

/// Sends until stopped, then waits for what is in flight.
pub(super) async fn run(options: TrafficOptions, tally: Arc<Tally>, stop: CancellationToken) {
    let context = Rc::new(Context { options, tally, stop });
    let mut tasks = JoinSet::new();
    for number in 0..context.options.keepalive_connections {
        tasks.spawn_local(keepalive(Rc::clone(&context), number));
    }
    dispatch(&context, &mut tasks).await;
    while tasks.join_next().await.is_some() {}
}

/// Starts requests on new connections at the wanted rate, however long the earlier ones take.
async fn dispatch(context: &Rc<Context>, tasks: &mut JoinSet<()>) {
    let slots = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let mut ticks = tokio::time::interval(TICK);
    let (started, mut dispatched) = (Instant::now(), 0_u64);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.stop.cancelled() => return,
        }
        while tasks.try_join_next().is_some() {}
        let due = due(started.elapsed(), context.options.new_per_second);
        // A client that was itself held up does not send all that it missed at once: that would be another load.
        let missed = due.saturating_sub(dispatched + u64::from(context.options.new_per_second / CATCH_UP));
        dispatched += missed;
        context.tally.record(|snapshot| snapshot.skipped += missed);
        while dispatched < due {
            dispatched += 1;
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                context.tally.record(|snapshot| snapshot.skipped += 1);
                continue;
            };
            let context = Rc::clone(context);
            tasks.spawn_local(async move {
                context.request_on_new().await;
                drop(slot);
            });
        }
    }
}

/// Requests that are due after `elapsed`, the first at once.
fn due(elapsed: Duration, per_second: u32) -> u64 {
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    if per_second == 0 { 0 } else { micros.saturating_mul(per_second.into()) / 1_000_000 + 1 }
}

/// One keep-alive connection, replaced whenever it ends.
async fn keepalive(context: Rc<Context>, number: u32) {
    let options = &context.options;
    let rate = f64::from(options.keepalive_per_second) / f64::from(options.keepalive_connections.max(1));
    if rate <= 0.0 {
        return;
    }
    let pause = Duration::from_secs_f64(1.0 / rate);
    // Spread over the period, so that the connections do not send in step.
    let offset = pause.mul_f64(f64::from(number) / f64::from(options.keepalive_connections.max(1)));
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + offset, pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut connection: Option<Connection> = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.stop.cancelled() => return,
        }
        if connection.as_ref().is_some_and(Connection::is_closed) {
            context.tally.record(|snapshot| snapshot.idle_closed += 1);
            connection = None;
        }
        connection = context.request_on_reused(connection).await;
    }
}

impl Context {
    async fn request_on_new(&self) {
        let begun = self.begin(Class::New);
        let request = http::get(self.options.target, "/", false);
        let answer = self.limit(begun, self.open_and_exchange(&request)).await;
        self.finish(Class::New, begun, &answer.map(|(response, _)| response));
    }

    /// Gives back the connection when it can be used again.
    async fn request_on_reused(&self, connection: Option<Connection>) -> Option<Connection> {
        let begun = self.begin(Class::Keepalive);
        let answer = self.limit(begun, self.reuse(connection)).await;
        let (response, connection) = match answer {
            Ok((response, connection)) => (Ok(response), Some(connection)),
            Err(broken) => (Err(broken), None),
        };
        let closes = response.as_ref().is_ok_and(|response| response.closes);
        if closes {
            self.tally.record(|snapshot| snapshot.idle_closed += 1);
        }
        self.finish(Class::Keepalive, begun, &response);
        connection.filter(|_| !closes)
    }

    async fn reuse(&self, connection: Option<Connection>) -> Result<(Response, Connection), Broken> {
        let request = http::get(self.options.target, "/", self.options.reuse);
        let Some(mut connection) = connection else {
            return self.open_and_exchange(&request).await;
        };
        match connection.exchange(&request).await {
            Ok(response) => Ok((response, connection)),
            Err(Broken { failure, answered: false }) if self.may_retry(failure) => {
                self.tally.record(|snapshot| match failure {
                    Failure::Reset => snapshot.retried_reset += 1,
                    _ => snapshot.retried_closed += 1,
                });
                self.open_and_exchange(&request).await
            }
            Err(broken) => Err(broken),
        }
    }

    fn may_retry(&self, failure: Failure) -> bool {
        self.options.retry_reused && matches!(failure, Failure::Cut | Failure::Reset)
    }

    async fn open_and_exchange(&self, request: &[u8]) -> Result<(Response, Connection), Broken> {
        let connection = Connection::open(self.options.target).await;
        let mut connection = connection.map_err(|failure| Broken { failure, answered: false })?;
        let response = connection.exchange(request).await?;
        Ok((response, connection))
    }

    async fn limit<T>(&self, begun: Instant, work: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
        let left = self.options.timeout.saturating_sub(begun.elapsed());
        let late = Err(Broken { failure: Failure::Timeout, answered: false });
        tokio::time::timeout(left, work).await.unwrap_or(late)
    }

    fn begin(&self, class: Class) -> Instant {
        self.tally.record(|snapshot| class.of(snapshot).sent += 1);
        Instant::now()
    }

    fn finish(&self, class: Class, begun: Instant, answer: &Result<Response, Broken>) {
        let node = match answer {
            Ok(response) => node_of(response).ok_or(Failure::Wrong),
            Err(broken) => Err(broken.failure),
        };
        self.tally.record(|snapshot| match node {
            Ok(node) => {
                class.of(snapshot).ok += 1;
                snapshot.latency.add(begun.elapsed());
                match snapshot.by_node.get_mut(node) {
                    Some(count) => *count += 1,
                    None => drop(snapshot.by_node.insert(node.to_owned(), 1)),
                }
            }
            Err(failure) => *class.of(snapshot).failed.entry(failure).or_default() += 1,
        });
    }
}

/// The node that answered, when the answer is right.
fn node_of(response: &Response) -> Option<&str> {
    let name = response.body.strip_prefix("node ")?.strip_suffix('\n')?;
    (response.status == 200 && !name.is_empty()).then_some(name)
}
