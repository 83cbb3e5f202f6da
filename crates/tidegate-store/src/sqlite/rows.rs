//! A row of `revisions` or `snapshots` as what it stands for.

use std::fmt::Display;

use rusqlite::Row;
use serde::Serialize;
use serde_json::from_str;
use tidegate_core::hash::ContentHash;
use tidegate_core::log::{LogEntry, Snapshot};
use tidegate_core::position::{Position, Revision, Term};

use super::failure::{Failure, Place};

/// The columns that [`entry`] reads.
pub(super) const ENTRY: &str = "revision, term, holder, at, changes, orders, overrides, repairs, state_hash";
/// The columns that [`snapshot`] reads.
pub(super) const SNAPSHOT: &str = "revision, term, at, membership, orders, overrides";

/// A counter as SQLite stores it.
pub(super) fn integer(counter: u64) -> Result<i64, rusqlite::Error> {
    i64::try_from(counter).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// A value as a column of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<String, rusqlite::Error> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// A column with a counter. No version of ours writes a negative one.
pub(super) fn counter(row: &Row<'_>, column: &str) -> Result<u64, rusqlite::Error> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, stored))
}

/// A row of `revisions`.
pub(super) fn entry(row: &Row<'_>, place: &Place) -> Result<LogEntry, Failure> {
    let revision = Revision(counter(row, "revision")?);
    let bad =
        |column: &str, error: &dyn Display| place.corrupt_row("revisions", revision, format!("{column}: {error}"));
    Ok(LogEntry {
        revision,
        term: Term(counter(row, "term")?),
        holder: row.get("holder")?,
        at: text(row, "at")?.parse().map_err(|e| bad("at", &e))?,
        changes: from_str(&text(row, "changes")?).map_err(|e| bad("changes", &e))?,
        orders: from_str(&text(row, "orders")?).map_err(|e| bad("orders", &e))?,
        overrides: from_str(&text(row, "overrides")?).map_err(|e| bad("overrides", &e))?,
        repairs: from_str(&text(row, "repairs")?).map_err(|e| bad("repairs", &e))?,
        state_hash: ContentHash::parse(&text(row, "state_hash")?).map_err(|e| bad("state_hash", &e))?,
    })
}

/// A row of `snapshots`.
pub(super) fn snapshot(row: &Row<'_>, place: &Place) -> Result<Snapshot, Failure> {
    let revision = Revision(counter(row, "revision")?);
    let bad =
        |column: &str, error: &dyn Display| place.corrupt_row("snapshots", revision, format!("{column}: {error}"));
    Ok(Snapshot {
        position: Position { term: Term(counter(row, "term")?), revision },
        at: text(row, "at")?.parse().map_err(|e| bad("at", &e))?,
        membership: from_str(&text(row, "membership")?).map_err(|e| bad("membership", &e))?,
        orders: from_str(&text(row, "orders")?).map_err(|e| bad("orders", &e))?,
        overrides: from_str(&text(row, "overrides")?).map_err(|e| bad("overrides", &e))?,
    })
}

fn text(row: &Row<'_>, column: &str) -> Result<String, rusqlite::Error> {
    row.get(column)
}
