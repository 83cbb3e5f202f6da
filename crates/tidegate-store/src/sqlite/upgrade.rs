//! What SQL alone cannot bring from one version of the schema to the next. The test keeps a file of version 1.

use rusqlite::{Connection, Transaction, params};
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{ClusterName, NodeUid};
use tidegate_core::log::{Change, LogState};
use tidegate_core::membership::Membership;
use tidegate_core::position::Revision;

use super::failure::{Failure, Place};
use super::rows;
use crate::NodeDocumentId;

/// Version 2: a state's hash is the sum of its members' hashes, and a document's id depends on its cluster.
pub(super) fn to_version_2(transaction: &Transaction<'_>, place: &Place) -> Result<(), Failure> {
    let sql = "select cluster from revisions union select cluster from nodes";
    let names: Vec<String> = transaction.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // Names that no version of ours writes are rows by hand, which nobody reads.
    for cluster in names.into_iter().filter_map(|name| ClusterName::parse(name).ok()) {
        let place = Place { cluster, ..place.clone() };
        rehash(transaction, &place)?;
        rename_documents(transaction, &place)?;
    }
    Ok(())
}

/// A log that adds up by the old rule gets the hashes of the new one; one that does not is left to be found out.
/// So is history from before the oldest snapshot, which nothing is computed from.
fn rehash(transaction: &Transaction<'_>, place: &Place) -> Result<(), Failure> {
    let mut walk = Walk::default();
    for entry in entries(transaction, place)? {
        walk.follow(transaction, place, &entry)?;
    }
    let Walk { state: Some(membership), recorded, hashes, last } = walk else { return Ok(()) };
    if recorded.as_deref() != Some(old_hash(&membership).to_string().as_str()) {
        return Ok(());
    }
    let sql = "update revisions set state_hash = ?3 where cluster = ?1 and revision = ?2";
    for (revision, hash) in hashes {
        transaction.prepare_cached(sql)?.execute(params![
            place.cluster.as_str(),
            rows::integer(revision.0)?,
            hash.to_string()
        ])?;
    }
    let hash = LogState { membership, ..LogState::default() }.state_hash().to_string();
    transaction.execute(
        "update heads set state_hash = ?3 where cluster = ?1 and revision = ?2",
        params![place.cluster.as_str(), rows::integer(last.0)?, hash],
    )?;
    Ok(())
}

/// The rule of version 1.
fn old_hash(membership: &Membership) -> ContentHash {
    ContentHash::of_json(membership)
}

struct OldEntry {
    revision: Revision,
    changes: Vec<Change>,
    hash: String,
}

/// The state along the log, from its first entry or its oldest snapshot.
#[derive(Default)]
struct Walk {
    state: Option<Membership>,
    last: Revision,
    recorded: Option<String>,
    hashes: Vec<(Revision, ContentHash)>,
}

impl Walk {
    fn follow(&mut self, connection: &Connection, place: &Place, entry: &OldEntry) -> Result<(), Failure> {
        match &mut self.state {
            Some(membership) => entry.changes.iter().for_each(|change| membership.apply(change)),
            None if entry.revision == Revision(1) => self.state = Some(Membership::default().with(&entry.changes)),
            None => self.state = snapshot(connection, place, entry)?,
        }
        (self.last, self.recorded) = (entry.revision, Some(entry.hash.clone()));
        self.hashes.extend(self.state.as_ref().map(|membership| (entry.revision, membership.hash())));
        Ok(())
    }
}

/// The snapshot of this entry, if there is one that agrees with it.
fn snapshot(connection: &Connection, place: &Place, entry: &OldEntry) -> Result<Option<Membership>, Failure> {
    let sql = "select membership from snapshots where cluster = ?1 and revision = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params![place.cluster.as_str(), rows::integer(entry.revision.0)?])?;
    let Some(row) = found.next()? else { return Ok(None) };
    let text: String = row.get(0)?;
    let membership: Option<Membership> = serde_json::from_str(&text).ok();
    Ok(membership.filter(|membership| old_hash(membership).to_string() == entry.hash))
}

fn entries(connection: &Connection, place: &Place) -> Result<Vec<OldEntry>, Failure> {
    let sql = "select revision, changes, state_hash from revisions where cluster = ?1 order by revision";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_and_then([place.cluster.as_str()], |row| {
        let revision = Revision(rows::counter(row, "revision")?);
        let changes: String = row.get("changes")?;
        let changes = serde_json::from_str(&changes)
            .map_err(|error| place.corrupt_row("revisions", revision, format!("changes: {error}")))?;
        Ok(OldEntry { revision, changes, hash: row.get("state_hash")? })
    })?;
    found.collect()
}

fn rename_documents(transaction: &Transaction<'_>, place: &Place) -> Result<(), Failure> {
    let cluster = place.cluster.as_str();
    let mut statement = transaction.prepare("select _id, uid from nodes where cluster = ?1")?;
    let found: Vec<(String, String)> =
        statement.query_map([cluster], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (old, uid) in found {
        // What is no uid was written by hand: the next repair removes it.
        let Ok(uid) = NodeUid::parse(uid) else { continue };
        let new = NodeDocumentId::of(&place.cluster, &uid);
        let sql = "update or replace nodes set _id = ?3 where cluster = ?1 and _id = ?2";
        transaction.prepare_cached(sql)?.execute(params![cluster, old, new.as_str()])?;
    }
    Ok(())
}
