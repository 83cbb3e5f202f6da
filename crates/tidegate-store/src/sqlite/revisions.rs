//! The log itself: table `revisions`.

use rusqlite::{Connection, OptionalExtension, ToSql, TransactionBehavior, params};
use tidegate_core::log::LogEntry;
use tidegate_core::position::Revision;

use super::Database;
use super::failure::{Failure, Place};
use super::{clusters, heads, rows};
use crate::replay::check_next;

impl Database {
    /// Inserts the next entry in a transaction of its own, which is on disk when this returns.
    pub(super) fn append(&mut self, entry: &LogEntry) -> Result<(), Failure> {
        self.step("commit:begin");
        // IMMEDIATE: the check and the insert see the same log, whoever else writes.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        clusters::refuse_incomplete(&transaction, &self.place)?;
        check_next(heads::position(&transaction, &self.place)?, entry)?;
        insert(&transaction, &self.place, entry)?;
        heads::advance(&transaction, &self.place, entry)?;
        if let Some(hook) = &self.hook {
            hook("commit:inserted");
        }
        transaction.commit()?;
        self.step("commit:done");
        Ok(())
    }

    /// One entry.
    pub(super) fn entry(&self, revision: Revision) -> Result<Option<LogEntry>, Failure> {
        entry_at(&self.connection, &self.place, revision)
    }

    /// The newest entry.
    pub(super) fn newest(&self) -> Result<Option<LogEntry>, Failure> {
        newest(&self.connection, &self.place)
    }

    /// Up to `size` entries below a revision, newest first.
    pub(super) fn page(&self, below: Revision, size: usize) -> Result<Vec<LogEntry>, Failure> {
        let sql = format!(
            "select {} from revisions where cluster = ?1 and revision < ?2 order by revision desc limit ?3",
            rows::ENTRY
        );
        let below = i64::try_from(below.0).unwrap_or(i64::MAX);
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        entries(&self.connection, &self.place, &sql, params![self.place.cluster.as_str(), below, size])
    }
}

/// One entry.
pub(super) fn entry_at(
    connection: &Connection,
    place: &Place,
    revision: Revision,
) -> Result<Option<LogEntry>, Failure> {
    let Ok(key) = rows::integer(revision.0) else { return Ok(None) };
    let sql = format!("select {} from revisions where cluster = ?1 and revision = ?2", rows::ENTRY);
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row(params![place.cluster.as_str(), key], |row| Ok(rows::entry(row, place)));
    found.optional()?.transpose()
}

/// The newest entry.
pub(super) fn newest(connection: &Connection, place: &Place) -> Result<Option<LogEntry>, Failure> {
    let sql = format!("select {} from revisions where cluster = ?1 order by revision desc limit 1", rows::ENTRY);
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row([place.cluster.as_str()], |row| Ok(rows::entry(row, place)));
    found.optional()?.transpose()
}

fn entries(
    connection: &Connection,
    place: &Place,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<LogEntry>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_and_then(parameters, |row| rows::entry(row, place))?;
    found.collect()
}

/// One entry, whatever it follows.
pub(super) fn insert(connection: &Connection, place: &Place, entry: &LogEntry) -> Result<(), Failure> {
    let sql =
        "insert into revisions (cluster, revision, term, holder, at, changes, orders, overrides, repairs, state_hash)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    connection.prepare_cached(sql)?.execute(params![
        place.cluster.as_str(),
        rows::integer(entry.revision.0)?,
        rows::integer(entry.term.0)?,
        entry.holder,
        entry.at.to_string(),
        rows::json(&entry.changes)?,
        rows::json(&entry.orders)?,
        rows::json(&entry.overrides)?,
        rows::json(&entry.repairs)?,
        entry.state_hash.to_string(),
    ])?;
    Ok(())
}
