//! The embedded backend: one SQLite file, one transaction for each commit, readable with `sqlite3`.

mod clusters;
mod failure;
mod file;
mod heads;
mod nodes;
mod revisions;
mod rows;
mod schema;
mod snapshots;
mod upgrade;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use tidegate_core::ids::ClusterName;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::Revision;

use self::failure::{Failure, Place};
use crate::paging::{HISTORY_PAGE, history};
use crate::transfer::{ImportStep, Transfer};
use crate::{HistoryQuery, NodeDocument, NodeDocumentId, Repair, Retention, Store, StoreError};

/// Called at each step of a write, in the thread that writes, with the name of the step.
///
/// A seam for crash tests: what a hook does not return from (it kills the process, or waits to be killed) is what a
/// power cut at that step leaves behind. The steps: `commit:begin` (nothing was done yet), `commit:inserted` (in the
/// transaction, not durable), `commit:done` (durable, not yet acknowledged), `nodes:written` and `snapshot:written`
/// (durable).
pub type StepHook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// The log of one cluster in an SQLite file.
///
/// SQLite blocks, so every operation runs on tokio's blocking threads, one at a time. An operation whose future is
/// dropped (by a timeout, say) still runs to its end: [`crate::commit`] finds out what became of it.
#[derive(Clone)]
pub struct SqliteStore {
    database: Arc<Mutex<Database>>,
}

/// The open file, and what its errors and steps need to know.
struct Database {
    connection: Connection,
    place: Place,
    hook: Option<StepHook>,
}

impl Database {
    fn step(&self, name: &'static str) {
        if let Some(hook) = &self.hook {
            hook(name);
        }
    }
}

impl SqliteStore {
    /// Opens the file, creates it when there is none (mode 0600), brings its schema up to date and checks its
    /// integrity. Blocks for as long as the check takes (about 1 s for each GB), or up to 4 s when somebody holds a lock.
    ///
    /// Its folder is created too, but only the last one of the path: a mistyped path is an error, not an empty store.
    pub fn open(path: &Path, cluster: &ClusterName) -> Result<Self, StoreError> {
        let place = Place::new(path, cluster);
        let connection = file::open(&place)?;
        Ok(Self { database: Arc::new(Mutex::new(Database { connection, place, hook: None })) })
    }

    /// Calls `hook` at each step of a write.
    #[must_use]
    pub fn with_step_hook(self, hook: StepHook) -> Self {
        lock(&self.database).hook = Some(hook);
        self
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        let blocking = move || {
            let mut database = lock(&database);
            work(&mut database).map_err(|failure| failure.into_error(operation, &database.place))
        };
        match tokio::task::spawn_blocking(blocking).await {
            Ok(answer) => answer,
            Err(lost) => Err(StoreError::Unavailable { operation, detail: lost.to_string() }),
        }
    }
}

/// A thread that panicked has left no half-done transaction: rusqlite rolls back on drop.
fn lock(database: &Mutex<Database>) -> MutexGuard<'_, Database> {
    database.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for SqliteStore {
    async fn claim(&self, uid: &str) -> Result<(), StoreError> {
        let uid = uid.to_owned();
        self.run("claim the cluster's name", move |database| database.claim(&uid)).await
    }

    async fn load(&self) -> Result<LogState, StoreError> {
        self.run("load the log", Database::load).await
    }

    async fn append(&self, entry: &LogEntry) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.run("commit a revision", move |database| database.append(&entry)).await
    }

    async fn entry(&self, revision: Revision) -> Result<Option<LogEntry>, StoreError> {
        self.run("read a revision", move |database| database.entry(revision)).await
    }

    async fn newest(&self) -> Result<Option<LogEntry>, StoreError> {
        self.run("read the newest revision", |database| database.newest()).await
    }

    async fn write_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let snapshot = snapshot.clone();
        self.run("write a snapshot", move |database| database.write_snapshot(&snapshot)).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<LogEntry>, StoreError> {
        history(query, |below| self.page(below, HISTORY_PAGE)).await
    }

    async fn write_nodes(&self, active: &[NodeDocument], removed: &[NodeDocumentId]) -> Result<(), StoreError> {
        let (active, removed) = (active.to_vec(), removed.to_vec());
        self.run("write the nodes table", move |database| database.write_nodes(&active, &removed)).await
    }

    async fn repair_nodes(&self, active: &[NodeDocument]) -> Result<Vec<Repair>, StoreError> {
        let active = active.to_vec();
        self.run("repair the nodes table", move |database| database.repair_nodes(&active)).await
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<u64, StoreError> {
        self.run("prune the log", move |database| database.prune(retention, now)).await
    }
}

#[async_trait]
impl Transfer for SqliteStore {
    async fn identity(&self) -> Result<Option<String>, StoreError> {
        self.run("read the cluster's identity", |database| database.identity()).await
    }

    async fn page(&self, below: Revision, size: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.run("read the history", move |database| database.page(below, size)).await
    }

    async fn snapshots(&self) -> Result<Vec<Snapshot>, StoreError> {
        self.run("read the snapshots", Database::snapshots).await
    }

    async fn import(&self, step: ImportStep) -> Result<(), StoreError> {
        self.run("import a log", move |database| database.import(&step)).await
    }
}
