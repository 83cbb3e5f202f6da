//! The tables, their versions, and whose file it is.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::failure::{Failure, Place};
use super::upgrade;
use crate::StoreError;

/// Marks the file as ours (`file` and `pragma application_id` show it): "Tide".
pub(super) const APPLICATION_ID: i64 = 0x5469_6465;

/// Changes rows in the transaction of a migration.
type RowStep = fn(&Transaction<'_>, &Place) -> Result<(), Failure>;

/// One step from a version to the next.
struct Migration {
    /// What changes in the tables.
    sql: &'static str,
    /// What changes in the rows, where SQL does not suffice.
    rows: Option<RowStep>,
}

/// Each step leads from the version that is its index to the next one, and none is ever edited once released:
/// a change of the schema is one more step at the end.
const MIGRATIONS: &[Migration] = &[
    // `at` and `since` are RFC 3339, `changes` and `membership` JSON: to be read with `sqlite3` and its JSON functions.
    Migration {
        rows: None,
        sql: "create table revisions (
        cluster    text    not null,
        revision   integer not null check (revision > 0),
        term       integer not null,
        holder     text    not null,
        at         text    not null,
        changes    text    not null,
        state_hash text    not null,
        primary key (cluster, revision)
    ) strict, without rowid;
    -- Where the log of each cluster ends. Written with each entry, so that entries that are gone from its end are missed.
    create table heads (
        cluster    text    not null primary key,
        revision   integer not null,
        term       integer not null,
        state_hash text    not null
    ) strict, without rowid;
    create table snapshots (
        cluster    text    not null,
        revision   integer not null,
        term       integer not null,
        at         text    not null,
        membership text    not null,
        primary key (cluster, revision)
    ) strict, without rowid;
    create table nodes (
        _id      text not null,
        ip       text not null,
        hostname text not null,
        node     text not null,
        uid      text not null,
        since    text not null,
        cluster  text not null,
        primary key (cluster, _id)
    ) strict, without rowid;",
    },
    // Orders of operators, repairs of the read model, whose log it is, and whether a migration into it is under way.
    Migration {
        sql: "alter table revisions add column orders text not null default '[]';
    alter table revisions add column repairs text not null default '[]';
    alter table snapshots add column orders text not null default '{}';
    create table clusters (
        cluster    text    not null primary key,
        uid        text,
        incomplete integer not null default 0 check (incomplete in (0, 1))
    ) strict, without rowid;",
        rows: Some(upgrade::to_version_2),
    },
    // What operators let through in spite of a guard.
    Migration {
        sql: "alter table revisions add column overrides text not null default '[]';
    alter table snapshots add column overrides text not null default '{}';",
        rows: None,
    },
    // Nothing in the tables: the JSON of a member may say `apart`, `weight` and `zone`, which an earlier version would not
    // count in the hash of the state.
    Migration { sql: "", rows: None },
];

/// The version that this program reads and writes.
pub(super) fn supported() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Refuses the file of another program, and that of a later version of this one, before anything is written to it.
/// To be called in a transaction.
pub(super) fn check_ours(connection: &Transaction<'_>, place: &Place) -> Result<(), Failure> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    if id != APPLICATION_ID && (id != 0 || tables > 0) {
        let cure = "correct store.sqlite.path: tidegate keeps its log in a file of its own";
        return Err(place.refuse("is the SQLite database of another program", cure).into());
    }
    let found = version(connection)?;
    if found > supported() {
        return Err(StoreError::NewerSchema { found, supported: supported() }.into());
    }
    Ok(())
}

/// Brings the tables up to the version of this program, all steps or none.
pub(super) fn migrate(connection: &mut Connection, place: &Place) -> Result<(), Failure> {
    if version(connection)? == supported() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it while this one waited for the lock.
    check_ours(&transaction, place)?;
    let from = version(&transaction)?;
    for step in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step.sql)?;
        if let Some(rows) = step.rows {
            rows(&transaction, place)?;
        }
    }
    mark(&transaction)?;
    transaction.commit()?;
    tracing::info!(path = %place.path.display(), from, to = supported(), "store schema brought up to date");
    Ok(())
}

fn mark(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", supported())
}

fn version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
