//! The record of what was decided: an append-only log of revisions, snapshots of the membership, and
//! the `nodes` read model for people and their tools.
//!
//! A commit is the insert of the next revision: its unique key is the compare-and-set, on every
//! backend. Opening a term is the insert of an entry without changes; from then on the older leader's
//! next insert collides. Every backend passes the suite in `conformance` (feature `conformance`).
#![warn(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod identity;
mod migrate;
mod mongo;
mod node_document;
mod paging;
mod repair;
mod replay;
mod sqlite;
mod store;
mod transfer;

pub use error::StoreError;
pub use migrate::{MigrateError, Migrated, migrate};
pub use mongo::{MongoSettings, MongoStore, MongoTimeouts};
pub use node_document::{NodeDocument, NodeDocumentId};
pub use repair::{Repair, RepairKind};
pub use sqlite::{SqliteStore, StepHook};
pub use store::{HistoryQuery, Retention, SNAPSHOT_EVERY, Store, commit};
pub use transfer::{ImportStep, Transfer};
