//! A store in a folder of its own, and child processes made of this very test binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_core::class::ErrorClass;
use tidegate_core::ids::ClusterName;
use tidegate_core::log::LogState;
use tidegate_core::position::Revision;
use tidegate_store::conformance::scenario::{Scenario, at};
use tidegate_store::{SqliteStore, Store, StoreError};

/// How a child process is told which file to work on.
pub const STORE: &str = "TIDEGATE_TEST_STORE";

pub fn cluster() -> ClusterName {
    ClusterName::parse("prod").unwrap()
}

pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, &cluster())
}

/// A folder with a store in it, which is closed: nothing of it is left in a write-ahead log.
pub struct Prepared {
    pub folder: TempDir,
    pub state: LogState,
}

impl Prepared {
    /// A log of so many entries, with snapshots of these revisions.
    pub async fn new(entries: u64, snapshots: &[u64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("tidegate.db")).unwrap();
        let mut scenario = Scenario::new(42);
        for revision in (1..=entries).map(Revision) {
            scenario.commit(&store, 1).await.unwrap();
            if snapshots.contains(&revision.0) {
                store.write_snapshot(&scenario.state().to_snapshot(at(revision))).await.unwrap();
            }
        }
        Self { folder, state: scenario.state().clone() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("tidegate.db")
    }

    /// What somebody does to the file by hand.
    pub fn by_hand(&self, sql: &str) {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch(sql).unwrap();
        assert!(connection.changes() > 0, "{sql} changes something");
    }

    /// Opens and loads, as a start of tidegate does.
    pub async fn start(&self) -> Result<LogState, StoreError> {
        open(&self.path())?.load().await
    }
}

/// An error that a person can act upon: it does not go away by itself, says where, and what to do.
pub fn assert_for_people(error: &StoreError, path: &Path) {
    let text = error.to_string();
    assert_eq!(error.class(), ErrorClass::Permanent, "{text}");
    assert!(text.contains(&path.display().to_string()), "says where: {text}");
    assert!(text.contains("cure: "), "says what to do: {text}");
}

/// A process that runs one ignored test of this binary on a store.
pub fn child(program: &Path, test: &str, store: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(STORE, store);
    command
}

/// Runs a test of this binary to its end under a wrapper such as `unshare`; it must have run, and passed.
pub fn run_under(wrapper: &[&str], test: &str, store: &Path) {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(program);
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(STORE, store);
    let output = command.output().unwrap_or_else(|error| panic!("{wrapper:?} cannot be started: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{wrapper:?} {test}: {text}");
}

/// The store that this process was started to work on; none when it was started by hand with `--ignored`.
pub fn store_of_child() -> Option<PathBuf> {
    std::env::var_os(STORE).map(PathBuf::from)
}
