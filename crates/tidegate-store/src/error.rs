//! What can go wrong with a store.

use std::path::PathBuf;

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::ids::ClusterName;
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
    /// The server refuses what it was asked, and will again: wrong credentials, missing rights, a wrong address.
    #[error("{place}: {detail}; cure: {cure}")]
    Refused {
        /// Which setting or server; never a password.
        place: String,
        /// What is wrong.
        detail: String,
        /// What a person can do.
        cure: String,
    },
    /// The log of this cluster's name is another Kubernetes cluster's.
    #[error(
        "the log of cluster {cluster} belongs to another Kubernetes cluster: its namespace kube-system has the uid {theirs}, here it is {ours}; cure: give this cluster a name of its own (`cluster:` in the configuration), or a database of its own"
    )]
    OtherCluster {
        /// The name that both have.
        cluster: ClusterName,
        /// The uid of the cluster that asks.
        ours: String,
        /// The uid that was recorded.
        theirs: String,
    },
    /// A migration into this store has not come to its end.
    #[error(
        "{place} holds a part of the log of cluster {cluster}: a migration into it was interrupted; cure: run the same `tidegate store migrate` again, it starts afresh; or go on with the store that it copied from"
    )]
    Incomplete {
        /// The file or the database.
        place: String,
        /// Whose log.
        cluster: ClusterName,
    },
    /// A migration would have written over a log.
    #[error(
        "{place} already has a log of cluster {cluster}; cure: migrate into a new file or database, or remove that log first if it may be lost"
    )]
    Occupied {
        /// The file or the database.
        place: String,
        /// Whose log.
        cluster: ClusterName,
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
            Self::Damaged { .. }
            | Self::Corrupt { .. }
            | Self::Open { .. }
            | Self::Refused { .. }
            | Self::OtherCluster { .. }
            | Self::Incomplete { .. }
            | Self::Occupied { .. }
            | Self::NewerSchema { .. } => ErrorClass::Permanent,
        }
    }
}
