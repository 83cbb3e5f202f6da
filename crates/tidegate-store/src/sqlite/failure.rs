//! What SQLite's answers mean to a person: which file, what is wrong, what to do.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;
use tidegate_core::ids::ClusterName;
use tidegate_core::position::Revision;

use crate::StoreError;

/// Where things are, for messages.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) cluster: ClusterName,
}

/// A failed step of an operation, before it is known which operation it belonged to.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The operation has its answer, and it is no.
    #[error(transparent)]
    Answer(#[from] StoreError),
}

impl Failure {
    /// Says it to the caller of the operation.
    pub(super) fn into_error(self, operation: &'static str, place: &Place) -> StoreError {
        match self {
            Self::Answer(error) => error,
            Self::Sqlite(error) => place.explain(operation, &error),
        }
    }
}

impl Place {
    pub(super) fn new(path: &Path, cluster: &ClusterName) -> Self {
        Self { path: path.to_owned(), cluster: cluster.clone() }
    }

    /// A row that cannot be read, or that says what cannot be.
    pub(super) fn corrupt_row(&self, table: &str, revision: Revision, detail: impl Into<String>) -> StoreError {
        let (cluster, path) = (&self.cluster, self.path.display());
        let place = format!("revision {revision} of cluster {cluster} in table {table} of {path}");
        StoreError::Corrupt { place, detail: detail.into(), cure: self.restore() }
    }

    /// A failure of the file as a whole.
    pub(super) fn corrupt_file(&self, detail: impl Into<String>) -> StoreError {
        let place = format!("store file {}", self.path.display());
        StoreError::Corrupt { place, detail: detail.into(), cure: self.restore() }
    }

    /// The file cannot be used.
    pub(super) fn refuse(&self, detail: impl Into<String>, cure: impl Into<String>) -> StoreError {
        StoreError::Open { path: self.path.clone(), detail: detail.into(), cure: cure.into() }
    }

    /// What an error of SQLite means. Waiting may help against a lock, a full disk or a failing one: those are
    /// transient; against the rest only a person can help.
    pub(super) fn explain(&self, operation: &'static str, error: &rusqlite::Error) -> StoreError {
        let path = self.path.display();
        let transient = |detail: String| StoreError::Unavailable { operation, detail };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => transient(format!(
                "{path} is locked by another process; cure: end its transaction, or the process (`fuser -v {path}` names it)"
            )),
            Some(ErrorCode::DiskFull) => transient(format!(
                "the disk of {path} is full, nothing was written; cure: free some space, tidegate goes on by itself"
            )),
            Some(ErrorCode::SystemIoFailure) => {
                transient(format!("{path}: {error}; cure: check the disk and its free space (`dmesg`, `df {path}`)"))
            }
            Some(ErrorCode::NotADatabase) => {
                let cure = "correct store.sqlite.path, or move the file away: tidegate then creates a new one";
                self.refuse("is not an SQLite database", cure)
            }
            Some(ErrorCode::ReadOnly) => self.refuse("is read-only", self.ownership()),
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                self.refuse(error.to_string(), self.ownership())
            }
            // Without a code it is the binding that complains, of a value of a type that no version of ours writes.
            Some(ErrorCode::DatabaseCorrupt) | None => self.corrupt_file(error.to_string()),
            Some(_) => transient(format!("{path}: {error}")),
        }
    }

    /// The cure for a file that may not be read and written.
    pub(super) fn ownership(&self) -> String {
        format!(
            "let the user that runs tidegate read and write it and its folder (`ls -la {}`)",
            self.folder().display()
        )
    }

    /// The folder of the file.
    pub(super) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    fn restore(&self) -> String {
        format!(
            "stop tidegate and restore a backup of {path} (with its -wal file, if there is one); without a backup, move \
             {path}* away: tidegate then starts a new log from what the cluster shows, without history",
            path = self.path.display()
        )
    }
}
