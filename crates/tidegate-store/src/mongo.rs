//! The backend for several replicas: a MongoDB database, or whatever speaks its protocol.
//!
//! It asks for nothing but single-document writes and plain queries, so that any MongoDB since 4.4 and FerretDB do. A
//! revision's `_id` is the text `<cluster>/<revision, 20 digits>`: its unique index is the compare-and-set, it sorts as
//! the log does, and finding one entry never means looking at another. (An embedded document as `_id` would be scanned
//! for on FerretDB, and need a second index on MongoDB.)
//!
//! Writes are acknowledged by a majority, and journalled; reads ask the primary for what a majority has. A primary
//! that has been replaced without knowing can still show an old end of the log, but what is committed on top of that
//! end collides with the entry that is there.

mod clusters;
mod connection;
mod documents;
mod failure;
mod nodes;
mod revisions;
mod settings;
mod snapshots;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::log::{LogEntry, LogState, Snapshot};
use tidegate_core::position::Revision;

use self::connection::Connection;
pub use self::settings::{MongoSettings, MongoTimeouts};
use crate::paging::{HISTORY_PAGE, history};
use crate::{HistoryQuery, ImportStep, NodeDocument, NodeDocumentId, Repair, Retention, Store, StoreError, Transfer};

/// The log of one cluster in a MongoDB database. Copies share a connection pool.
#[derive(Clone, Debug)]
pub struct MongoStore {
    connection: Arc<Connection>,
}

impl MongoStore {
    /// Checks the settings. Connects when the store is first used, so that a server that is down for the moment is an
    /// error that can be retried.
    pub fn connect(settings: MongoSettings) -> Result<Self, StoreError> {
        Ok(Self { connection: Arc::new(Connection::new(settings)?) })
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn claim(&self, uid: &str) -> Result<(), StoreError> {
        let what = "claim the cluster's name";
        let db = self.connection.database(what).await?;
        db.within(what, db.claim(uid)).await
    }

    async fn load(&self) -> Result<LogState, StoreError> {
        let what = "load the log";
        let db = self.connection.database(what).await?;
        db.within(what, db.load()).await
    }

    async fn append(&self, entry: &LogEntry) -> Result<(), StoreError> {
        let what = "commit a revision";
        let db = self.connection.database(what).await?;
        db.within(what, db.append(entry)).await
    }

    async fn entry(&self, revision: Revision) -> Result<Option<LogEntry>, StoreError> {
        let what = "read a revision";
        let db = self.connection.database(what).await?;
        db.within(what, db.entry(revision)).await
    }

    async fn newest(&self) -> Result<Option<LogEntry>, StoreError> {
        let what = "read the newest revision";
        let db = self.connection.database(what).await?;
        db.within(what, db.newest()).await
    }

    async fn write_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let what = "write a snapshot";
        let db = self.connection.database(what).await?;
        db.within(what, db.write_snapshot(snapshot)).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<LogEntry>, StoreError> {
        history(query, |below| self.page(below, HISTORY_PAGE)).await
    }

    async fn write_nodes(&self, active: &[NodeDocument], removed: &[NodeDocumentId]) -> Result<(), StoreError> {
        if active.is_empty() && removed.is_empty() {
            return Ok(());
        }
        self.connection.database(nodes::WRITE).await?.write_nodes(active, removed).await
    }

    async fn repair_nodes(&self, active: &[NodeDocument]) -> Result<Vec<Repair>, StoreError> {
        self.connection.database(nodes::REPAIR).await?.repair_nodes(active).await
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<u64, StoreError> {
        // Not bounded as a whole: each document is.
        self.connection.database("prune the log").await?.prune(retention, now).await
    }
}

#[async_trait]
impl Transfer for MongoStore {
    async fn identity(&self) -> Result<Option<String>, StoreError> {
        let what = "read the cluster's identity";
        let db = self.connection.database(what).await?;
        db.within(what, db.identity()).await
    }

    async fn page(&self, below: Revision, size: usize) -> Result<Vec<LogEntry>, StoreError> {
        let what = "read the history";
        let db = self.connection.database(what).await?;
        db.within(what, db.page(below, size)).await
    }

    async fn snapshots(&self) -> Result<Vec<Snapshot>, StoreError> {
        let what = "read the snapshots";
        let db = self.connection.database(what).await?;
        db.within(what, db.sound_snapshots()).await
    }

    async fn import(&self, step: ImportStep) -> Result<(), StoreError> {
        let what = "import a log";
        let db = self.connection.database(what).await?;
        db.within(what, db.import(&step)).await
    }
}
