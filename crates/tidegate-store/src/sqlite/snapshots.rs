//! Table `snapshots`, and what it is for: a short way to load, and leave to forget.

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use tidegate_core::log::{LogState, Snapshot};
use tidegate_core::position::Revision;

use super::Database;
use super::failure::{Failure, Place};
use super::heads::check_end;
use super::revisions::{entry_at, newest};
use super::{clusters, rows};
use crate::replay::{PruneRule, Voucher, replay, settle, snapshot_problem};
use crate::{Retention, StoreError};

/// The newest one is for loading, the others for the day when it turns out to be unreadable.
const SNAPSHOTS_KEPT: u32 = 3;

/// The newest snapshot that agrees with the log, and what was wrong with a newer one.
#[derive(Default)]
struct Sound {
    snapshot: Option<Snapshot>,
    skipped: Option<StoreError>,
}

impl Database {
    /// The state that the log adds up to, as of one moment.
    pub(super) fn load(&mut self) -> Result<LogState, Failure> {
        let view = self.connection.transaction()?;
        clusters::refuse_incomplete(&view, &self.place)?;
        let Sound { snapshot, skipped } = newest_sound(&view, &self.place)?;
        let base = snapshot.map_or_else(LogState::default, LogState::from_snapshot);
        let loaded = replay_from(&view, &self.place, base).and_then(|state| {
            check_end(&view, &self.place, &state)?;
            Ok(state)
        });
        match loaded {
            Err(Failure::Answer(error)) => Ok(settle(Err(error), skipped)?),
            Ok(state) => Ok(settle(Ok(state), skipped)?),
            Err(failure) => Err(failure),
        }
    }

    /// All snapshots that agree with the log, oldest first.
    pub(super) fn snapshots(&mut self) -> Result<Vec<Snapshot>, Failure> {
        let view = self.connection.transaction()?;
        let sql = format!("select {} from snapshots where cluster = ?1 order by revision", rows::SNAPSHOT);
        let mut statement = view.prepare_cached(&sql)?;
        let found = statement.query_and_then([self.place.cluster.as_str()], |row| rows::snapshot(row, &self.place))?;
        let mut sound = Vec::new();
        for snapshot in found {
            match snapshot.and_then(|snapshot| vouch_for(&view, &self.place, snapshot)) {
                Ok(snapshot) => sound.push(snapshot),
                Err(Failure::Answer(error)) => tracing::warn!(%error, "a snapshot was left out"),
                Err(failure) => return Err(failure),
            }
        }
        Ok(sound)
    }

    /// Records a membership that the log agrees with; a second time replaces the first.
    pub(super) fn write_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        let revision = snapshot.position.revision;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let entry = entry_at(&transaction, &self.place, revision)?;
        if let Some(problem) = snapshot_problem(snapshot, entry.as_ref().map(Voucher::from)) {
            return Err(self.place.corrupt_row("snapshots", revision, problem).into());
        }
        insert(&transaction, &self.place, snapshot)?;
        transaction.commit()?;
        self.step("snapshot:written");
        Ok(())
    }

    /// Forgets the start of the log, as far as the retention and the newest sound snapshot allow.
    pub(super) fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<u64, Failure> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(snapshot) = newest_sound(&transaction, &self.place)?.snapshot else { return Ok(0) };
        let sound = snapshot.position.revision;
        let newest = newest(&transaction, &self.place)?.map_or(sound, |entry| entry.revision);
        let rule = PruneRule::new(retention, now, sound, newest);
        let last = last_to_forget(&transaction, &self.place, &rule)?;
        let forgotten = forget(&transaction, &self.place, last, sound)?;
        transaction.commit()?;
        Ok(forgotten)
    }
}

fn forget(connection: &Connection, place: &Place, last: Revision, sound: Revision) -> Result<u64, Failure> {
    let cluster = place.cluster.as_str();
    let forgotten = connection.execute(
        "delete from revisions where cluster = ?1 and revision <= ?2",
        params![cluster, rows::integer(last.0)?],
    )?;
    connection.execute(
        "delete from snapshots where cluster = ?1 and revision < ?2 and revision not in
             (select revision from snapshots where cluster = ?1 order by revision desc limit ?3)",
        params![cluster, rows::integer(sound.0)?, SNAPSHOTS_KEPT],
    )?;
    Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
}

fn newest_sound(connection: &Connection, place: &Place) -> Result<Sound, Failure> {
    let sql = format!("select {} from snapshots where cluster = ?1 order by revision desc", rows::SNAPSHOT);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query([place.cluster.as_str()])?;
    let mut sound = Sound::default();
    while let Some(row) = found.next()? {
        match rows::snapshot(row, place).and_then(|snapshot| vouch_for(connection, place, snapshot)) {
            Ok(snapshot) => {
                sound.snapshot = Some(snapshot);
                break;
            }
            Err(Failure::Answer(error)) => sound.skipped = sound.skipped.or(Some(error)),
            Err(failure) => return Err(failure),
        }
    }
    Ok(sound)
}

fn vouch_for(connection: &Connection, place: &Place, snapshot: Snapshot) -> Result<Snapshot, Failure> {
    let revision = snapshot.position.revision;
    let entry = entry_at(connection, place, revision)?;
    match snapshot_problem(&snapshot, entry.as_ref().map(Voucher::from)) {
        Some(problem) => Err(place.corrupt_row("snapshots", revision, problem).into()),
        None => Ok(snapshot),
    }
}

fn replay_from(connection: &Connection, place: &Place, base: LogState) -> Result<LogState, Failure> {
    let sql = format!("select {} from revisions where cluster = ?1 and revision > ?2 order by revision", rows::ENTRY);
    let mut statement = connection.prepare_cached(&sql)?;
    let after = rows::integer(base.position.revision.0)?;
    let entries = statement.query_and_then(params![place.cluster.as_str(), after], |row| rows::entry(row, place))?;
    replay(base, entries)
}

fn last_to_forget(connection: &Connection, place: &Place, rule: &PruneRule) -> Result<Revision, Failure> {
    let sql = "select revision, at from revisions where cluster = ?1 order by revision";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([place.cluster.as_str()])?;
    let mut last = Revision::default();
    while let Some(row) = found.next()? {
        let revision = Revision(rows::counter(row, "revision")?);
        let at: String = row.get("at")?;
        let at = at.parse().map_err(|error| place.corrupt_row("revisions", revision, format!("at: {error}")))?;
        if !rule.allows(revision, at) {
            break;
        }
        last = revision;
    }
    Ok(last)
}

/// One snapshot, whatever the log says.
pub(super) fn insert(connection: &Connection, place: &Place, snapshot: &Snapshot) -> Result<(), Failure> {
    let sql = "insert or replace into snapshots (cluster, revision, term, at, membership, orders, overrides)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        place.cluster.as_str(),
        rows::integer(snapshot.position.revision.0)?,
        rows::integer(snapshot.position.term.0)?,
        snapshot.at.to_string(),
        rows::json(&snapshot.membership)?,
        rows::json(&snapshot.orders)?,
        rows::json(&snapshot.overrides)?,
    ])?;
    Ok(())
}
