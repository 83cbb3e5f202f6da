//! Opening the store that a configuration names.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::ids::ClusterName;
use tidegate_store::{MongoSettings, MongoStore, MongoTimeouts, SqliteStore, StepHook, StoreError, Transfer};

use crate::config::one_line::{Kind, OneLineError, read_one_line};
use crate::config::{MongodbConfig, StoreConfig};

/// A store that cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file with its connection string.
    #[error(transparent)]
    Secret(#[from] OneLineError),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process is ending.
    #[error("opening the store was interrupted; cure: start again")]
    Interrupted,
}

impl OpenError {
    /// Whether to try again.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Secret(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Interrupted => ErrorClass::Transient,
        }
    }
}

/// Opens it; an SQLite file that does not exist is created. `hook` sees each step of a commit to SQLite.
pub async fn open_store(
    config: &StoreConfig,
    cluster: &ClusterName,
    hook: Option<StepHook>,
) -> Result<Arc<dyn Transfer>, OpenError> {
    match config {
        StoreConfig::Sqlite(path) => {
            let (path, cluster) = (path.clone(), cluster.clone());
            // Checking the integrity of a large file takes a while, and agents are served meanwhile.
            let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path, &cluster)).await;
            let store = opened.map_err(|_| OpenError::Interrupted)??;
            Ok(match hook {
                Some(hook) => Arc::new(store.with_step_hook(hook)),
                None => Arc::new(store),
            })
        }
        StoreConfig::Mongodb(MongodbConfig { uri_file, database }) => {
            let uri = read_one_line(uri_file, Kind::ConnectionString)?;
            let settings = MongoSettings {
                uri: uri.reveal().to_owned(),
                origin: uri_file.display().to_string(),
                database: database.clone(),
                cluster: cluster.clone(),
                timeouts: MongoTimeouts::default(),
            };
            Ok(Arc::new(MongoStore::connect(settings)?))
        }
    }
}

/// Whether opening it would create it, which a command that only reads must not do.
pub fn is_missing(config: &StoreConfig) -> bool {
    match config {
        StoreConfig::Sqlite(path) => !path.exists(),
        StoreConfig::Mongodb(_) => false,
    }
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "SQLite file {}", path.display()),
            Self::Mongodb(MongodbConfig { uri_file, database }) => {
                write!(f, "MongoDB database {database} ({})", uri_file.display())
            }
        }
    }
}
