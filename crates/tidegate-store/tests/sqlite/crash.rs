//! kill -9 at random moments and at each step: whatever was acknowledged is there, and the log adds up.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tidegate_core::log::LogState;
use tidegate_core::position::Revision;
use tidegate_store::conformance::scenario::{Random, Scenario, at};
use tidegate_store::{HistoryQuery, NodeDocument, Retention, SqliteStore, Store, commit};

use super::support::{child, cluster, open, store_of_child};

const SEED: u64 = 9;
const ROUNDS: u64 = 25;
const DEADLINE: Duration = Duration::from_secs(60);

/// At which step a writer stops and waits for its end, and at which occurrence of it: `commit:done 3`.
const STOP_AT: &str = "TIDEGATE_TEST_STOP_AT";

#[test]
#[ignore = "a child process of the tests below"]
fn writer() {
    let Some(path) = store_of_child() else { return };
    let store = open(&path).unwrap().with_step_hook(stop_at_step());
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(write_for_ever(&store));
}

fn stop_at_step() -> Arc<dyn Fn(&'static str) + Send + Sync> {
    let wanted = std::env::var(STOP_AT).unwrap_or_default();
    let (step, nth) = wanted.split_once(' ').unwrap_or(("", "0"));
    let (step, nth): (String, usize) = (step.to_owned(), nth.parse().unwrap());
    let seen = AtomicUsize::new(0);
    Arc::new(move |name| {
        if name == step && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            println!("\nreached {name}");
            loop {
                thread::park();
            }
        }
    })
}

async fn write_for_ever(store: &SqliteStore) {
    let mut scenario = Scenario::resume(SEED, store.load().await.unwrap());
    store.repair_nodes(&NodeDocument::all(&cluster(), &scenario.state().membership)).await.unwrap();
    loop {
        let entry = scenario.advance();
        commit(store, &entry).await.unwrap();
        println!("\nacknowledged {}", entry.revision);
        let (active, removed) = NodeDocument::of_changes(&cluster(), &entry.changes);
        store.write_nodes(&active, &removed).await.unwrap();
        if entry.revision.0.is_multiple_of(8) {
            store.write_snapshot(&scenario.state().to_snapshot(entry.at)).await.unwrap();
            let retention = Retention { age: Duration::ZERO, entries: 30 };
            store.prune(retention, at(entry.revision)).await.unwrap();
        }
    }
}

/// A writer in a process of its own, and what it says.
struct Writer {
    process: Child,
    lines: Receiver<String>,
    acknowledged: Revision,
}

impl Writer {
    fn start(path: &Path, stop_at: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = child(&program, "crash::writer", path);
        let mut process = command.env(STOP_AT, stop_at).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { process, lines, acknowledged: Revision(0) }
    }

    /// Reads on until a line satisfies the condition.
    fn wait_for(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("the writer goes on");
            self.note(&line);
            if wanted(&line) {
                return;
            }
        }
    }

    fn note(&mut self, line: &str) {
        if let Some(revision) = line.strip_prefix("acknowledged ") {
            self.acknowledged = Revision(revision.parse().unwrap());
        }
    }

    /// SIGKILL; answers the last revision that was acknowledged before it.
    fn kill(mut self) -> Revision {
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            self.note(&line);
        }
        self.acknowledged
    }
}

/// Opens what the writer left behind, and compares all of it with what the same seed gives without a crash.
async fn check(path: &Path, acknowledged: Revision) -> LogState {
    let store = open(path).unwrap();
    let loaded = store.load().await.unwrap();
    let revision = loaded.position.revision;
    assert!(revision >= acknowledged, "{acknowledged} was acknowledged, the log ends at {revision}");
    let mut scenario = Scenario::new(SEED);
    let expected: Vec<_> = (0..revision.0).map(|_| scenario.advance()).collect();
    assert_eq!(loaded, *scenario.state());
    let mut kept = store.history(&HistoryQuery { node: None, limit: usize::MAX }).await.unwrap();
    kept.reverse();
    assert_eq!(kept, expected[expected.len() - kept.len()..], "what is kept is the end of the log, without holes");
    assert!(kept.len() >= usize::try_from(revision.0.min(30)).unwrap());
    loaded
}

#[tokio::test]
async fn a_commit_that_was_acknowledged_survives_kill_nine_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let mut total = Revision(0);
    for round in 0..ROUNDS {
        let mut random = Random::new(round, Revision(1));
        let mut left = random.below(40);
        let mut writer = Writer::start(&path, "");
        writer.wait_for(|line| {
            let acknowledged = line.starts_with("acknowledged");
            left = left.saturating_sub(u64::from(acknowledged));
            acknowledged && left == 0
        });
        // Not to wait for anything: the moment of the kill is what is random.
        thread::sleep(Duration::from_micros(random.below(2_000)));
        let acknowledged = writer.kill();
        let state = check(&path, acknowledged).await;
        assert!(state.position.revision.0 - acknowledged.0 <= 1, "one commit was under way at most");
        let repaired =
            open(&path).unwrap().repair_nodes(&NodeDocument::all(&cluster(), &state.membership)).await.unwrap();
        assert!(repaired.len() <= 3, "one entry of the scenario changes at most 3 nodes, not {repaired:?}");
        total = state.position.revision;
    }
    assert!(total.0 > ROUNDS, "every round went on from the one before");
}

#[tokio::test]
async fn killed_at_each_step_the_log_has_the_entry_or_has_it_not() {
    for (step, committed) in
        [("commit:begin", 0), ("commit:inserted", 0), ("commit:done", 1), ("nodes:written", 0), ("snapshot:written", 0)]
    {
        for nth in [1, 2, 5] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tidegate.db");
            let mut writer = Writer::start(&path, &format!("{step} {nth}"));
            writer.wait_for(|line| line == format!("reached {step}"));
            let acknowledged = writer.kill();
            let state = check(&path, acknowledged).await;
            assert_eq!(state.position.revision.0 - acknowledged.0, committed, "{step} {nth}");
            let repaired =
                open(&path).unwrap().repair_nodes(&NodeDocument::all(&cluster(), &state.membership)).await.unwrap();
            assert!(repaired.is_empty() || step == "commit:done", "{step} {nth}: {repaired:?}");
        }
    }
}
