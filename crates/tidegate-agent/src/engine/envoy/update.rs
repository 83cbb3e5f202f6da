//! Changing what a running Envoy serves, in an order in which no listener ever lacks its cluster.
//!
//! Endpoints and new clusters come first, then listeners, then clusters that nobody uses any more go. Only files whose
//! content differs are written: a listener that is written again would lose its connections after the drain time.

use std::time::Duration;

use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::{Instant, sleep};

use super::admin::Admin;
use super::answer::Stats;
use super::process::Process;
use super::wanted::{Body, Wanted};
use super::watched::Watched;
use super::{Paths, words};
use crate::engine::{daemon, failure, listening};

/// As Envoy names clusters in its statistics
pub const CDS: &str = "cluster_manager.cds";
/// and listeners.
pub const LDS: &str = "listener_manager.lds";

/// 5,000 endpoints take 0.06 s; a machine that is busy, longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// A few endpoints take less than the runtime's shortest pause, and an answer of Envoy nearly as long as that: it is asked
/// without a pause first.
const AT_ONCE: Duration = Duration::from_millis(10);
const POLL_FIRST: Duration = Duration::from_millis(1);
const POLL_LATER: Duration = Duration::from_millis(20);
const FIRST: Duration = Duration::from_millis(200);

/// As Envoy names a cluster's endpoints in its statistics.
pub fn eds(cluster: &str) -> String {
    format!("cluster.{cluster}")
}

/// One update.
pub struct Update<'a> {
    /// Of the Envoy that runs.
    pub admin: &'a Admin,
    /// Its files.
    pub paths: &'a Paths,
    /// What it is to serve.
    pub wanted: &'a Wanted,
}

/// A file that was written, and what Envoy says once it has read it.
struct Sent {
    subject: String,
    version: String,
}

impl Update<'_> {
    /// Brings the running Envoy there; what it said of itself last.
    pub async fn run(&self) -> Result<Stats, Failure> {
        let mut stats = self.ask().await?;
        let sent = self.send_endpoints(&stats)?;
        stats = self.settled(sent, stats).await?;
        let new_listeners = stale(LDS, &self.listeners(), &self.wanted.listeners, &stats);
        let clusters = Watched::at(self.paths.clusters());
        if stale(CDS, &clusters, &self.wanted.clusters, &stats) {
            let body = if new_listeners { self.with_leaving(&clusters) } else { self.wanted.clusters.clone() };
            stats = self.settled(vec![send(CDS, &clusters, &body)?], stats).await?;
        }
        if new_listeners {
            self.check_free().await?;
            let sent = send(LDS, &self.listeners(), &self.wanted.listeners)?;
            stats = self.settled(vec![sent], stats).await?;
        }
        if stale(CDS, &clusters, &self.wanted.clusters, &stats) {
            stats = self.settled(vec![send(CDS, &clusters, &self.wanted.clusters)?], stats).await?;
        }
        self.sweep();
        Ok(stats)
    }

    /// Envoy binds with SO_REUSEPORT, as HAProxy does: it would share a port with another program, and each would get a
    /// part of the connections.
    async fn check_free(&self) -> Result<(), Failure> {
        let ours = || Process::all(&self.paths.dir).into_iter().map(|process| process.pid).collect();
        match listening::still_taken(&self.wanted.binds, ours).await {
            None => Ok(()),
            Some(taken) => Err(words::refused(Step::Reload, format!("{taken}: Address already in use"))),
        }
    }

    /// Writes every file, for an Envoy that is about to start.
    pub async fn prepare(&self) -> Result<(), Failure> {
        self.check_free().await?;
        self.send_endpoints(&Stats::default())?;
        for (file, body) in
            [(Watched::at(self.paths.clusters()), &self.wanted.clusters), (self.listeners(), &self.wanted.listeners)]
        {
            if file.version_of(body).is_none() {
                file.write(body).map_err(|e| words::unwritten(Step::Reload, &e))?;
            }
        }
        Ok(())
    }

    fn listeners(&self) -> Watched {
        Watched::at(self.paths.listeners())
    }

    async fn ask(&self) -> Result<Stats, Failure> {
        self.admin.stats().await.map_err(|e| words::unanswered(Step::Reload, &e))
    }

    /// Those of clusters that Envoy does not know yet are read together with the cluster.
    fn send_endpoints(&self, stats: &Stats) -> Result<Vec<Sent>, Failure> {
        let mut sent = Vec::new();
        for (cluster, body) in &self.wanted.endpoints {
            let (subject, file) = (eds(cluster), Watched::at(self.paths.endpoints(cluster)));
            if stale(&subject, &file, body, stats) {
                let written = send(&subject, &file, body)?;
                sent.extend(stats.version(&subject).map(|_| written));
            }
        }
        Ok(sent)
    }

    /// What is wanted, and the clusters that listeners of now still use.
    fn with_leaving(&self, file: &Watched) -> Body {
        let text = file.text().unwrap_or_default();
        let now: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let resources = now.get("resources").and_then(serde_json::Value::as_array).map(Vec::as_slice);
        let leaves = |cluster: &&serde_json::Value| {
            let name = cluster.get("name").and_then(serde_json::Value::as_str);
            name.is_some_and(|name| !self.wanted.each_cluster.contains_key(name))
        };
        let leaving: Vec<String> =
            resources.unwrap_or_default().iter().filter(leaves).map(ToString::to_string).collect();
        Body::of(self.wanted.each_cluster.values().chain(&leaving))
    }

    /// Waits until Envoy has taken what was sent, or refused it.
    async fn settled(&self, sent: Vec<Sent>, before: Stats) -> Result<Stats, Failure> {
        if sent.is_empty() {
            return Ok(before);
        }
        let log_length = daemon::length(&self.paths.log);
        let start = Instant::now();
        loop {
            let now = self.ask().await?;
            let waiting = sent.iter().find(|s| now.version(&s.subject) != Some(&s.version));
            let Some(waiting) = waiting else { return Ok(now) };
            if now.refusals(&waiting.subject) > before.refusals(&waiting.subject) {
                return Err(self.refusal(&waiting.subject, log_length).await);
            }
            if start.elapsed() > DEADLINE {
                let message = format!("envoy did not take {} within {} s", waiting.subject, DEADLINE.as_secs());
                let cure = "look at Envoy's log in agent.stateDir and at the load of the machine";
                return Err(failure::transient(Step::Reload, message, cure));
            }
            pause(start.elapsed()).await;
        }
    }

    /// Why Envoy refused something, by its own word.
    pub(super) async fn refusal(&self, subject: &str, log_length: u64) -> Failure {
        let mut reasons = Vec::new();
        if subject == LDS {
            let listeners = self.admin.listeners().await.unwrap_or_default();
            let refusals = listeners.into_iter().filter(|l| !l.name.is_empty());
            reasons.extend(refusals.filter_map(|l| Some(format!("listener {}: {}", l.name, l.refusal?))));
        }
        if reasons.is_empty() {
            reasons.push(words::said_since(&self.paths.log, log_length));
        }
        words::refused(Step::Reload, format!("envoy refused {subject}: {}", reasons.join("; ")))
    }

    /// Endpoints of clusters that are gone.
    fn sweep(&self) {
        let folders = std::fs::read_dir(self.paths.all_endpoints()).into_iter().flatten().flatten();
        let unknown = |name: &str| !self.wanted.endpoints.contains_key(name);
        for folder in folders.filter(|f| f.file_name().to_str().is_none_or(unknown)) {
            if let Err(error) = fs_err::remove_dir_all(folder.path()) {
                tracing::warn!(%error, "endpoints of a cluster that is gone are left on the disk");
            }
        }
    }
}

/// Before the next question, this long after the first.
async fn pause(since: Duration) {
    if since >= AT_ONCE {
        sleep(if since < FIRST { POLL_FIRST } else { POLL_LATER }).await;
    }
}

fn send(subject: &str, file: &Watched, body: &Body) -> Result<Sent, Failure> {
    let version = file.write(body).map_err(|e| words::unwritten(Step::Reload, &e))?;
    Ok(Sent { subject: subject.to_owned(), version })
}

/// Whether a file does not hold what is wanted, or Envoy has not read it.
fn stale(subject: &str, file: &Watched, body: &Body, stats: &Stats) -> bool {
    let version = file.version_of(body);
    version.is_none() || version.as_deref() != stats.version(subject)
}
