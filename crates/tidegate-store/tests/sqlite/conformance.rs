//! SQLite passes the suite.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;
use tidegate_core::ids::ClusterName;
use tidegate_store::conformance::Database;
use tidegate_store::{SqliteStore, StoreError, Transfer, conformance_suite};

/// One file; every handle is a connection of its own.
struct SqliteFile {
    folder: TempDir,
}

impl SqliteFile {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the test") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tidegate.db")
    }
}

#[async_trait]
impl Database for SqliteFile {
    async fn open(&self, cluster: &ClusterName) -> Result<Arc<dyn Transfer>, StoreError> {
        Ok(Arc::new(SqliteStore::open(&self.path(), cluster)?))
    }
}

conformance_suite!(SqliteFile::new());
