//! Table `clusters`: whose log it is, and whether all of it is there.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tidegate_core::log::LogEntry;

use super::Database;
use super::failure::{Failure, Place};
use super::{heads, revisions, snapshots};
use crate::identity::check_claim;
use crate::{ImportStep, StoreError};

impl Database {
    /// Gives the log to the cluster of this uid, unless another one has it.
    pub(super) fn claim(&mut self, uid: &str) -> Result<(), Failure> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        refuse_incomplete(&transaction, &self.place)?;
        let recorded = identity(&transaction, &self.place)?;
        if check_claim(&self.place.cluster, recorded.as_deref(), uid)? {
            record(&transaction, &self.place, Some(uid), false)?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// The uid that has claimed the log.
    pub(super) fn identity(&self) -> Result<Option<String>, Failure> {
        identity(&self.connection, &self.place)
    }

    /// One step of an import.
    pub(super) fn import(&mut self, step: &ImportStep) -> Result<(), Failure> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let place = &self.place;
        match step {
            ImportStep::Begin => begin(&transaction, place)?,
            ImportStep::Entries(entries) => import_entries(&transaction, place, entries)?,
            ImportStep::Snapshot(snapshot) => snapshots::insert(&transaction, place, snapshot)?,
            ImportStep::End { identity } => record(&transaction, place, identity.as_deref(), false)?,
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Refuses a log of which a migration has written only a part.
pub(super) fn refuse_incomplete(connection: &Connection, place: &Place) -> Result<(), Failure> {
    if !is_incomplete(connection, place)? {
        return Ok(());
    }
    let (cluster, place) = (place.cluster.clone(), format!("store file {}", place.path.display()));
    Err(StoreError::Incomplete { place, cluster }.into())
}

fn is_incomplete(connection: &Connection, place: &Place) -> Result<bool, Failure> {
    let sql = "select exists (select 1 from clusters where cluster = ?1 and incomplete = 1)";
    Ok(connection.prepare_cached(sql)?.query_row([place.cluster.as_str()], |row| row.get(0))?)
}

fn identity(connection: &Connection, place: &Place) -> Result<Option<String>, Failure> {
    let sql = "select uid from clusters where cluster = ?1";
    let found = connection.prepare_cached(sql)?.query_row([place.cluster.as_str()], |row| row.get(0)).optional()?;
    Ok(found.flatten())
}

fn record(connection: &Connection, place: &Place, uid: Option<&str>, incomplete: bool) -> Result<(), Failure> {
    let sql = "insert or replace into clusters (cluster, uid, incomplete) values (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![place.cluster.as_str(), uid, incomplete])?;
    Ok(())
}

fn begin(transaction: &Transaction<'_>, place: &Place) -> Result<(), Failure> {
    let cluster = place.cluster.as_str();
    if !is_incomplete(transaction, place)? && is_occupied(transaction, cluster)? {
        let (cluster, place) = (place.cluster.clone(), format!("store file {}", place.path.display()));
        return Err(StoreError::Occupied { place, cluster }.into());
    }
    for table in ["revisions", "heads", "snapshots", "nodes"] {
        transaction.execute(&format!("delete from {table} where cluster = ?1"), [cluster])?;
    }
    record(transaction, place, None, true)
}

fn is_occupied(transaction: &Transaction<'_>, cluster: &str) -> Result<bool, Failure> {
    let sql = "select exists (select 1 from revisions where cluster = ?1)
                   or exists (select 1 from snapshots where cluster = ?1)
                   or exists (select 1 from heads where cluster = ?1)
                   or exists (select 1 from clusters where cluster = ?1 and uid is not null)";
    Ok(transaction.query_row(sql, [cluster], |row| row.get(0))?)
}

fn import_entries(transaction: &Transaction<'_>, place: &Place, entries: &[LogEntry]) -> Result<(), Failure> {
    let end = heads::position(transaction, place)?;
    for entry in entries {
        if revisions::entry_at(transaction, place, entry.revision)?.is_none() {
            revisions::insert(transaction, place, entry)?;
        }
    }
    match entries.iter().max_by_key(|entry| entry.revision) {
        Some(newest) if newest.revision > end.revision => heads::advance(transaction, place, newest),
        _ => Ok(()),
    }
}
