//! What can go wrong with a store.

use std::path::PathBuf;

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::log::ReplayError;
use tidegate_core::position::{Position, Revision};

/// A failed operation on the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The backend cannot be reached or answered with a failure of its own; nothing is known about what it did.
    #[error("{operation}: {detail}")]
    Unavailable {
        /// What was attempted.
        operation: &'static str,
        /// What the backend said.
        detail: String,
    },
    /// Another entry has this revision already.
    #[error("revision {revision} has been written by somebody else")]
    Taken {
        /// The revision.
        revision: Revision,
    },
    /// A newer leadership has written since.
    #[error("fenced: the log has reached {found}, this process wrote {offered}")]
    Fenced {
        /// What was to be written.
        offered: Position,
        /// What is there.
        found: Position,
    },
    /// The log contradicts itself.
    #[error("the log of revisions is damaged: {source}; cure: {cure}")]
    Damaged {
        /// How.
        source: ReplayError,
        /// What a person can do.
        cure: String,
    },
    /// A document that cannot be read, or that says what cannot be.
    #[error("{place} is damaged: {detail}; cure: {cure}")]
    Corrupt {
        /// Which document of which table, in which file.
        place: String,
        /// What is wrong with it.
        detail: String,
        /// What a person can do.
        cure: String,
    },
    /// The store's own file cannot be opened.
    #[error("store file {}: {detail}; cure: {cure}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
        /// What a person can do.
        cure: String,
    },
    /// Written by a later version of Tidegate.
    #[error(
        "the store has schema version {found}, this version of tidegate reads up to {supported}; cure: run the newer tidegate, or restore a backup of the store"
    )]
    NewerSchema {
        /// The version that was found.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
}

impl StoreError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::Taken { .. } => ErrorClass::Conflict,
            Self::Fenced { .. } => ErrorClass::Fenced,
            Self::Damaged { .. } | Self::Corrupt { .. } | Self::Open { .. } | Self::NewerSchema { .. } => {
                ErrorClass::Permanent
            }
        }
    }
}
