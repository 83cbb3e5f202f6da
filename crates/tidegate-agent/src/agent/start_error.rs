//! Why an agent cannot start.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::Refusal;

use crate::engine::succession::SuccessionError;

/// An agent that cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The state directory cannot be made or used.
    #[error("agent.stateDir {}: {source}; cure: make it a directory that tidegate's user can write", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another agent uses it.
    #[error("agent.stateDir {} is in use by another tidegate; cure: end that one, or give this one a directory of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The engine cannot be driven.
    #[error(transparent)]
    Engine(#[from] SuccessionError),
    /// The snapshot is of another cluster than the configured one.
    #[error("the snapshot in agent.stateDir {} cannot be used: {refusal}; cure: use another state directory, or correct cluster.name", path.display())]
    Snapshot {
        /// The directory.
        path: PathBuf,
        /// Why not.
        refusal: Refusal,
    },
}

impl StartError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InUse { .. } => ErrorClass::Transient,
            Self::StateDir { .. } | Self::Snapshot { .. } => ErrorClass::Permanent,
            Self::Engine(error) => error.class(),
        }
    }
}
