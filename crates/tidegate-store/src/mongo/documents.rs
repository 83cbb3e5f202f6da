//! A document as what it stands for, and back. Whatever fields a log entry has are stored and read back.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, deserialize_from_document, doc, serialize_to_document};
use tidegate_core::log::{LogEntry, Snapshot};
use tidegate_core::position::Revision;

use super::connection::Failure;
use super::failure::Place;
use crate::{NodeDocument, StoreError};

/// The `_id` of what belongs to a revision: 20 digits are enough for every number, and sort as numbers do.
pub(super) fn key(place: &Place, revision: Revision) -> String {
    format!("{}/{:020}", place.cluster, revision.0)
}

/// The `_id`s of a cluster's revisions from `from` to below `below`. A cluster's name has no slash in it.
pub(super) fn range(place: &Place, from: Revision, below: Revision) -> Document {
    doc! { "_id": { "$gte": key(place, from), "$lt": key(place, below) } }
}

/// Those of all revisions of a cluster.
pub(super) fn everything(place: &Place) -> Document {
    range(place, Revision(0), Revision(u64::MAX))
}

/// The revision of an `_id`.
pub(super) fn revision(place: &Place, collection: &str, document: &Document) -> Result<Revision, StoreError> {
    let text = document.get_str("_id").unwrap_or_default();
    let number = text.rsplit_once('/').and_then(|(_, digits)| digits.parse().ok());
    number.map(Revision).ok_or_else(|| place.corrupt(collection, text, "its _id has no revision"))
}

/// An entry with its `_id` and its cluster in front.
pub(super) fn of_entry(place: &Place, entry: &LogEntry) -> Result<Document, Failure> {
    let mut document = doc! { "_id": key(place, entry.revision), "cluster": place.cluster.as_str() };
    document.extend(serialize_to_document(entry).map_err(mongodb::error::Error::from)?);
    Ok(document)
}

/// The entry of a document of `revisions`.
pub(super) fn entry(place: &Place, document: Document) -> Result<LogEntry, StoreError> {
    let id = document.get_str("_id").unwrap_or_default().to_owned();
    let corrupt = |detail: &str| place.corrupt("revisions", &id, detail);
    let entry: LogEntry = deserialize_from_document(document).map_err(|error| corrupt(&error.to_string()))?;
    if key(place, entry.revision) == id {
        Ok(entry)
    } else {
        Err(corrupt(&format!("it says revision {}", entry.revision)))
    }
}

/// A snapshot as JSON text: machines alone read it, and as nested documents it costs a hundred times as much.
pub(super) fn of_snapshot(place: &Place, snapshot: &Snapshot) -> Result<Document, StoreError> {
    let id = key(place, snapshot.position.revision);
    let state = serde_json::to_string(snapshot).map_err(|error| place.corrupt("snapshots", &id, error))?;
    Ok(doc! { "_id": id, "cluster": place.cluster.as_str(), "at": snapshot.at.to_string(), "state": state })
}

/// The snapshot of a document of `snapshots`.
pub(super) fn snapshot(place: &Place, document: &Document) -> Result<Snapshot, StoreError> {
    let id = document.get_str("_id").unwrap_or_default();
    let corrupt = |detail: String| place.corrupt("snapshots", id, detail);
    let state = document.get_str("state").map_err(|error| corrupt(error.to_string()))?;
    let snapshot: Snapshot = serde_json::from_str(state).map_err(|error| corrupt(error.to_string()))?;
    if key(place, snapshot.position.revision) == id {
        Ok(snapshot)
    } else {
        Err(corrupt(format!("it says revision {}", snapshot.position.revision)))
    }
}

/// The article's document, `{_id, ip, hostname}`, and four more fields.
pub(super) fn of_node(place: &Place, document: &NodeDocument) -> Document {
    let NodeDocument { id, ip, hostname, node, uid, since } = document;
    doc! {
        "_id": object_id(id.as_str()),
        "ip": ip.to_string(),
        "hostname": hostname,
        "node": node.as_str(),
        "uid": uid.as_str(),
        "cluster": place.cluster.as_str(),
        "since": since.to_string(),
    }
}

/// An ObjectId of its 24 digits, which is what all ids of ours have.
pub(super) fn object_id(digits: &str) -> Bson {
    ObjectId::parse_str(digits).map_or_else(|_| Bson::String(digits.to_owned()), Bson::ObjectId)
}
