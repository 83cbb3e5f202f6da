//! From API event to live: when our own watch saw a change, and when every load balancer had it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Node;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tidegate_core::status::ClusterStatus;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::deadline;
use crate::http::{self, Connection};
use crate::lab::Host;

/// How often the status is read, unless told otherwise.
const POLL: Duration = Duration::from_millis(3);

/// What the watch saw: when, of which node; no object means that it was deleted.
#[derive(Debug, Clone)]
pub struct Sighting {
    pub at: Instant,
    pub name: String,
    pub node: Option<Node>,
}

impl Sighting {
    /// The status of condition Ready: `True`, `False` or `Unknown`; nothing when the node has none, or is gone.
    pub fn ready(&self) -> Option<&str> {
        let conditions = self.node.as_ref()?.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status.as_str())
    }
}

/// A bare watch of all Nodes, as the reference for "time since the API event".
#[derive(Debug)]
pub struct ApiClock {
    seen: Arc<Mutex<Vec<Sighting>>>,
    count: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl ApiClock {
    /// Starts to watch, and waits for the first list.
    pub async fn start(client: Client) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let (listed, mut ready) = watch::channel(false);
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let stream = watcher::watcher(Api::<Node>::all(client), watcher::Config::default());
            pin_mut!(stream);
            while let Some(event) = stream.next().await {
                let at = Instant::now();
                let (name, node) = match event {
                    Ok(Event::Apply(node)) => (node.name_any(), Some(node)),
                    Ok(Event::Delete(node)) => (node.name_any(), None),
                    Ok(Event::InitDone) => {
                        listed.send_replace(true);
                        continue;
                    }
                    _ => continue,
                };
                log.lock().unwrap_or_else(PoisonError::into_inner).push(Sighting { at, name, node });
                counted.send_modify(|count| *count += 1);
            }
        });
        ready.wait_for(|listed| *listed).await.context("the reference watch ended")?;
        Ok(Self { seen, count, task })
    }

    /// A place in the row of events: a later [`Self::wait`] looks only at what came after.
    pub fn mark(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// When the first event after `mark` came that satisfies `wanted`.
    pub async fn wait(&self, mark: usize, limit: Duration, wanted: impl Fn(&Sighting) -> bool) -> Result<Instant> {
        let mut count = self.count.clone();
        let search = async {
            loop {
                count.borrow_and_update();
                if let Some(at) = self.find(mark, &wanted) {
                    return Ok(at);
                }
                count.changed().await.context("the reference watch ended")?;
            }
        };
        match tokio::time::timeout(limit, search).await {
            Ok(found) => found,
            Err(_) => bail!("the expected API event did not come within {limit:?}"),
        }
    }

    /// When the newest event came, if any did.
    pub fn newest(&self) -> Option<Instant> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).last().map(|sighting| sighting.at)
    }

    fn find(&self, mark: usize, wanted: impl Fn(&Sighting) -> bool) -> Option<Instant> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().skip(mark).find(|sighting| wanted(sighting)).map(|sighting| sighting.at)
    }
}

impl Drop for ApiClock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a controller's `/api/v1/status` over one connection from its own machine.
#[derive(Debug)]
pub struct StatusReader {
    /// How often the status is read: the resolution of a measured time.
    pub every: Duration,
    host: Host,
    api: SocketAddr,
    connection: Option<Connection>,
}

impl StatusReader {
    pub fn new(host: &Host, api: SocketAddr) -> Self {
        Self { every: POLL, host: host.clone(), api, connection: None }
    }

    /// The status now.
    pub async fn read(&mut self) -> Result<ClusterStatus> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::from_stream(self.host.connect(self.api).await?),
        };
        let answer = connection.exchange(&http::get(self.api, "/api/v1/status", true)).await;
        let answer = answer.map_err(|broken| anyhow::anyhow!("reading the status: {:?}", broken.failure))?;
        if !answer.closes {
            self.connection = Some(connection);
        }
        serde_json::from_str(&answer.body).with_context(|| format!("a status that cannot be read: {}", answer.body))
    }

    /// When the status first satisfied `wanted`, with that status.
    pub async fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&ClusterStatus) -> bool,
    ) -> Result<(Instant, ClusterStatus)> {
        let started = Instant::now();
        let mut last = String::from("no answer yet");
        while started.elapsed() < limit {
            match self.read().await {
                Ok(status) if wanted(&status) => return Ok((Instant::now(), status)),
                Ok(status) => last = serde_json::to_string_pretty(&status)?,
                Err(error) => last = format!("{error:#}"),
            }
            tokio::time::sleep(self.every).await;
        }
        bail!("{what}: not within {limit:?}; the last status was {last}")
    }

    /// Waits until a tidegate that was just started answers.
    pub async fn wait_up(&mut self, limit: Duration) -> Result<()> {
        let host = self.host.clone();
        let api = self.api;
        deadline::until("the controller's API", limit, || async { host.connect(api).await.ok() }).await?;
        Ok(())
    }
}
