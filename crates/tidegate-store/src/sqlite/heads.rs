//! Table `heads`: where each log ends, so that a log which lost its end is not taken for a shorter one.

use rusqlite::{Connection, OptionalExtension, params};
use tidegate_core::log::{LogEntry, LogState};
use tidegate_core::position::{Position, Revision, Term};

use super::failure::{Failure, Place};
use super::rows;

/// The place of the newest entry; the start of time before there is one.
pub(super) fn position(connection: &Connection, place: &Place) -> Result<Position, Failure> {
    let sql = "select revision, term from heads where cluster = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([place.cluster.as_str()], |row| {
        Ok(Position { term: Term(rows::counter(row, "term")?), revision: Revision(rows::counter(row, "revision")?) })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Moves the end of the log to this entry, in the transaction that inserts it.
pub(super) fn advance(connection: &Connection, place: &Place, entry: &LogEntry) -> Result<(), Failure> {
    let sql = "insert or replace into heads (cluster, revision, term, state_hash) values (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![
        place.cluster.as_str(),
        rows::integer(entry.revision.0)?,
        rows::integer(entry.term.0)?,
        entry.state_hash.to_string(),
    ])?;
    Ok(())
}

/// Refuses a state that is not the one at the end of the log: to go on from it would be to go back in time.
pub(super) fn check_end(connection: &Connection, place: &Place, state: &LogState) -> Result<(), Failure> {
    let head = position(connection, place)?;
    if head != state.position {
        let detail = format!("the log ended at {head}, what is left of it ends at {}", state.position);
        return Err(place.corrupt_row("heads", head.revision, detail).into());
    }
    let sql = "select state_hash from heads where cluster = ?1";
    let recorded: Option<String> = connection.query_row(sql, [place.cluster.as_str()], |row| row.get(0)).optional()?;
    let computed = state.state_hash().to_string();
    match recorded {
        Some(recorded) if recorded != computed => {
            let detail = format!("the state there hashed to {recorded}, now it hashes to {computed}");
            Err(place.corrupt_row("heads", head.revision, detail).into())
        }
        _ => Ok(()),
    }
}
