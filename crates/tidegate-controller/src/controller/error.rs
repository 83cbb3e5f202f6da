//! Why a controller ends.

use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::log::ReplayError;
use tidegate_core::position::Position;
use tidegate_store::StoreError;

/// Why a controller ends. Everything that time may heal is retried instead.
#[derive(Debug, Error)]
pub enum ControllerError {
    /// Reading the log and opening a term.
    #[error("opening the store: {source}")]
    Open {
        /// The failure, with its cure.
        source: StoreError,
    },
    /// Writing a decision.
    #[error("recording a decision: {source}")]
    Record {
        /// The failure, with its cure.
        source: StoreError,
    },
    /// Another controller has opened a newer term on the same store.
    #[error(
        "fenced: {holder} has opened {found} on this store, this process had {ours}; it has stopped deciding; cure: run one controller for each store"
    )]
    Fenced {
        /// Who.
        holder: String,
        /// The newest entry of the log.
        found: Position,
        /// The last one of this process.
        ours: Position,
    },
    /// Asking the store whose log it is.
    #[error("claiming the log: {source}")]
    Claim {
        /// The failure, with its cure.
        source: StoreError,
    },
    /// The log that is kept in memory does not take its own next entry.
    #[error("the log contradicts itself: {source}; cure: restart tidegate, which reads the store again")]
    Replay {
        /// How.
        source: ReplayError,
    },
}

impl ControllerError {
    /// Whether starting again may help.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Open { source } | Self::Record { source } | Self::Claim { source } => source.class(),
            Self::Fenced { .. } => ErrorClass::Fenced,
            Self::Replay { .. } => ErrorClass::Permanent,
        }
    }
}
