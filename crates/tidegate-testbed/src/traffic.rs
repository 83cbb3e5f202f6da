//! Clients of the load balancer: a constant rate of requests, and an honest count of what they saw.
//!
//! A request is failed when its client saw it refused, reset, timed out, cut or wrongly answered.
//! Two things are no failures, and counted apart: an idle keep-alive connection that the server
//! closed, and a request on a reused connection that the server closed before it answered a byte.
//! The second is sent again on a new connection, as every HTTP client does.

mod histogram;
mod longlived;
mod stats;
mod workers;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::lab::{Host, Task};
pub use histogram::Histogram;
pub use longlived::LongLived;
pub use stats::{Counts, Snapshot};

#[derive(Debug, Clone)]
pub struct TrafficOptions {
    pub target: SocketAddr,
    /// Requests per second, each on a connection of its own.
    pub new_per_second: u32,
    /// Connections that are used again and again.
    pub keepalive_connections: u32,
    /// Without, each of these takes a new connection for each request: new connections as fast as answers come.
    pub reuse: bool,
    /// Requests per second over all keep-alive connections together.
    pub keepalive_per_second: u32,
    /// A request without a complete answer by then has failed.
    pub timeout: Duration,
    /// Send a request again when a reused connection closes under it. Without, it counts as failed.
    pub retry_reused: bool,
}

impl TrafficOptions {
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            new_per_second: 200,
            keepalive_connections: 8,
            reuse: true,
            keepalive_per_second: 200,
            timeout: Duration::from_secs(3),
            retry_reused: true,
        }
    }

    /// As much as a small machine answers without strain: 100,000 requests in less than a minute.
    pub fn heavy(target: SocketAddr) -> Self {
        Self { new_per_second: 900, keepalive_connections: 32, keepalive_per_second: 1_100, ..Self::new(target) }
    }
}

/// What all workers of one traffic count into.
#[derive(Debug)]
pub(crate) struct Tally {
    snapshot: Mutex<Snapshot>,
    started: Instant,
}

impl Tally {
    fn new() -> Self {
        Self { snapshot: Mutex::default(), started: Instant::now() }
    }

    pub(crate) fn record(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.snapshot.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> Snapshot {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        snapshot.elapsed = self.started.elapsed();
        snapshot
    }
}

/// Running traffic. Dropping it stops it.
#[derive(Debug)]
pub struct Traffic {
    tally: Arc<Tally>,
    stop: CancellationToken,
    task: Task<()>,
}

impl Traffic {
    /// Starts to send from `host`.
    pub fn start(host: &Host, options: TrafficOptions) -> Result<Self> {
        let tally = Arc::new(Tally::new());
        let stop = CancellationToken::new();
        let (counted, stopped) = (Arc::clone(&tally), stop.clone());
        let task = host.start(move || workers::run(options, counted, stopped))?;
        Ok(Self { tally, stop, task })
    }

    /// The numbers so far; [`Snapshot::since`] gives those of a step.
    pub fn stats(&self) -> Snapshot {
        self.tally.read()
    }

    /// Sends nothing new, waits for what is in flight, and gives the final numbers.
    pub async fn stop(self) -> Result<Snapshot> {
        self.stop.cancel();
        self.task.join().await?;
        Ok(self.tally.read())
    }
}
