//! A file of an earlier schema version is brought up to date with everything in it.

use std::path::Path;

use rusqlite::{Connection, params};
use tidegate_core::hash::ContentHash;
use tidegate_core::log::{Decision, LogState};
use tidegate_core::position::Revision;
use tidegate_store::conformance::scenario::{Scenario, at};
use tidegate_store::{NodeDocument, Store, StoreError, commit};

use super::support::{cluster, open};

const VERSION_1: &str = include_str!("version_1.sql");

/// A file as version 1 wrote it: entries from `first` on, a snapshot of `snapshot`. Answers where its log ends.
fn write_version_1(path: &Path, first: u64, snapshot: u64) -> LogState {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    let mut state = LogState::default();
    for _ in 0..30 {
        // Version 1 knew neither orders nor repairs.
        let changes = Scenario::resume(6, state.clone()).advance().changes;
        let revision = state.position.revision.next();
        let entry = state.next_entry(state.position.term, "old", at(revision), Decision::from(changes));
        state.append(&entry).unwrap();
        let old_hash = ContentHash::of_json(&state.membership).to_string();
        let number = i64::try_from(revision.0).unwrap();
        if revision.0 >= first {
            let changes = serde_json::to_string(&entry.changes).unwrap();
            let sql = "insert into revisions values ('prod', ?1, 0, 'old', ?2, ?3, ?4)";
            connection.execute(sql, params![number, entry.at.to_string(), changes, old_hash]).unwrap();
        }
        if revision.0 == snapshot {
            let membership = serde_json::to_string(&state.membership).unwrap();
            let sql = "insert into snapshots values ('prod', ?1, 0, ?2, ?3)";
            connection.execute(sql, params![number, entry.at.to_string(), membership]).unwrap();
        }
        connection
            .execute("insert or replace into heads values ('prod', ?1, 0, ?2)", params![number, old_hash])
            .unwrap();
    }
    for document in NodeDocument::all(&cluster(), &state.membership) {
        let old_id = &ContentHash::of_bytes(document.uid.as_str().as_bytes()).to_string()[..24];
        let NodeDocument { ip, hostname, node, uid, since, .. } = document;
        let values = [ip.to_string(), hostname, node.to_string(), uid.to_string(), since.to_string()];
        let sql = "insert into nodes values (?1, ?2, ?3, ?4, ?5, ?6, 'prod')";
        connection.execute(sql, params![old_id, values[0], values[1], values[2], values[3], values[4]]).unwrap();
    }
    state
}

#[tokio::test]
async fn a_file_of_version_1_keeps_its_state_its_documents_and_goes_on() {
    // Whole, and with a start that was forgotten.
    for (first, snapshot) in [(1, 12), (12, 12)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.db");
        let state = write_version_1(&path, first, snapshot);
        let store = open(&path).unwrap();
        assert_eq!(store.load().await.unwrap(), state, "from {first}");
        let documents = NodeDocument::all(&cluster(), &state.membership);
        assert!(!documents.is_empty());
        assert_eq!(store.repair_nodes(&documents).await.unwrap(), [], "documents got their new ids");
        let mut scenario = Scenario::resume(7, state);
        commit(&store, &scenario.advance()).await.unwrap();
        assert_eq!(open(&path).unwrap().load().await.unwrap(), *scenario.state());
    }
}

#[tokio::test]
async fn a_damaged_file_of_version_1_does_not_become_a_sound_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    write_version_1(&path, 1, 12);
    let edit = "update revisions set changes = replace(changes, '10.0.0.', '10.66.0.')";
    assert!(Connection::open(&path).unwrap().execute(edit, []).unwrap() > 0);
    let error = open(&path).unwrap().load().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. } | StoreError::Corrupt { .. }), "{error}");
    let gone = Connection::open(&path).unwrap().execute("delete from revisions where revision = 20", []).unwrap();
    assert_eq!(gone, 1);
    assert!(open(&path).unwrap().load().await.is_err());
    assert_eq!(open(&path).unwrap().entry(Revision(20)).await.unwrap(), None);
}
