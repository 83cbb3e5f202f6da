//! Starting Envoy, or a successor that takes its sockets over (hot restart).
//!
//! Listeners, clusters and endpoints never need it: only another bootstrap, another number of threads or another Envoy do.
//! A successor asks its predecessor for its listening sockets, so that no connection is refused; the predecessor
//! goes on with what it has until it ends, a week later or when its successor gets a successor of its own.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::{Instant, sleep};

use super::live::Live;
use super::process::Process;
use super::proof::shortfall;
use super::update::Update;
use super::watched::replace;
use super::{Envoy, words};
use crate::command::located;
use crate::engine::{daemon, failure};

/// How long connections of a listener that was removed or changed, and of a predecessor, may live: nobody removes many
/// listeners in a week, and each that waits costs some 50 kB.
const WEEK: &str = "604800";
/// A wrapper in front of Envoy may take a while.
const APPEARS: Duration = Duration::from_secs(5);
/// 0.05 s; with 5,000 endpoints on a busy machine longer.
const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);

impl Envoy {
    /// What makes a process another one: its file's name tells in the process table.
    pub(super) fn key(&self, live: &Live) -> String {
        let threads = self.concurrency.map(std::num::NonZeroU16::get);
        ContentHash::of_json(&(&live.wanted.bootstrap, threads, &self.build.version)).short()
    }

    /// Starts one and waits until it serves.
    pub(super) async fn start(&self, live: &Live, predecessor: Option<&Process>) -> Result<(), Failure> {
        let key = self.key(live);
        let bootstrap = self.paths.bootstrap(&key);
        let update = Update { admin: &self.admin, paths: &self.paths, wanted: &live.wanted };
        update.prepare().await?;
        replace(&bootstrap, &live.wanted.bootstrap).map_err(|e| words::unwritten(Step::Reload, &e))?;
        let (lineage, epoch) = self.lineage(predecessor)?;
        let log_length = daemon::length(&self.paths.log);
        let mut args: Vec<OsString> = vec!["-c".into(), bootstrap.into()];
        args.extend(lineage);
        args.extend(["--restart-epoch".into(), epoch.to_string().into()]);
        args.extend(["--drain-time-s", WEEK, "--parent-shutdown-time-s", WEEK, "-l", "warning"].map(Into::into));
        args.extend(self.concurrency.iter().flat_map(|n| ["--concurrency".into(), n.to_string().into()]));
        // Its standard error is the log: what goes to `--log-path` may be 10 s late.
        daemon::start(&located(&self.checker.binary), &args, &self.paths.log).await?;
        self.wait(live, &key, epoch, log_length).await?;
        tracing::info!(version = self.build.version, epoch, "started envoy");
        self.forget_bootstraps();
        Ok(())
    }

    /// How it is related to the one that runs.
    fn lineage(&self, predecessor: Option<&Process>) -> Result<(Vec<OsString>, u32), Failure> {
        let Some(predecessor) = predecessor else {
            // Left behind by one that was killed.
            _ = std::fs::remove_file(&self.paths.admin_socket);
            let fresh = ["--use-dynamic-base-id".into(), "--base-id-path".into(), self.paths.base_id.clone().into()];
            return Ok((fresh.into(), 0));
        };
        let id = fs_err::read_to_string(&self.paths.base_id).map_err(|e| {
            let cure =
                format!("end envoy {} by its pid when it may be interrupted: tidegate starts it", predecessor.pid);
            failure::permanent(Step::Reload, e.to_string(), cure)
        })?;
        Ok((vec!["--base-id".into(), id.trim().into()], predecessor.epoch.saturating_add(1)))
    }

    async fn wait(&self, live: &Live, key: &str, epoch: u32, log_length: u64) -> Result<(), Failure> {
        let start = Instant::now();
        let mut ours: Option<Process> = None;
        loop {
            let runs = ours.as_ref().map(|process| process.runs(&self.paths.dir));
            if runs == Some(false) || (runs.is_none() && start.elapsed() > APPEARS) {
                let said = words::said_since(&self.paths.log, log_length);
                return Err(words::refused(Step::Reload, format!("envoy ended as soon as it was started: {said}")));
            }
            if ours.is_none() {
                ours = Process::all(&self.paths.dir).into_iter().find(|p| p.epoch == epoch && p.key == key);
            }
            if let Some(process) = &ours
                && let Some(outcome) = self.outcome(live, epoch, log_length).await
            {
                self.remember(process.clone());
                return outcome;
            }
            if start.elapsed() > DEADLINE {
                let said = words::said_since(&self.paths.log, log_length);
                let message = format!("envoy was started and is not live after {} s: {said}", DEADLINE.as_secs());
                return Err(failure::transient(Step::Reload, message, "look at Envoy's log in agent.stateDir"));
            }
            sleep(POLL).await;
        }
    }

    /// Nothing as long as it is not decided.
    async fn outcome(&self, live: &Live, epoch: u32, log_length: u64) -> Option<Result<(), Failure>> {
        // The predecessor answers until its successor takes the socket.
        if self.admin.epoch().await.ok()? != epoch {
            return None;
        }
        let stats = self.admin.stats().await.ok()?;
        if shortfall(&live.wanted, &self.paths, &stats).is_none() {
            return Some(Ok(()));
        }
        let refused = [super::update::LDS, super::update::CDS].into_iter().find(|s| stats.refusals(s) > 0)?;
        let update = Update { admin: &self.admin, paths: &self.paths, wanted: &live.wanted };
        Some(Err(update.refusal(refused, log_length).await))
    }

    /// Bootstraps that no process was started with.
    fn forget_bootstraps(&self) {
        let used: Vec<String> = Process::all(&self.paths.dir).into_iter().map(|process| process.key).collect();
        let stale = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let key = name.strip_prefix("bootstrap-").and_then(|name| name.strip_suffix(".json"));
            key.is_some_and(|key| used.iter().all(|used| used != key))
        };
        let files = std::fs::read_dir(&self.paths.dir).into_iter().flatten().flatten().map(|entry| entry.path());
        files.filter(|path| stale(path)).for_each(|path| _ = std::fs::remove_file(path));
    }
}
