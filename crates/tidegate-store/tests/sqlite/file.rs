//! The file as people and their tools find it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use rusqlite::Connection;
use tidegate_core::position::Revision;
use tidegate_store::conformance::scenario::Scenario;
use tidegate_store::{NodeDocument, Repair, RepairKind, Store};

use super::support::{Prepared, assert_for_people, cluster, open};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_its_owner_reads_it() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("tidegate").join("tidegate.db");
    let store = open(&path).unwrap();
    Scenario::new(1).commit(&store, 1).await.unwrap();
    for name in ["tidegate.db", "tidegate.db-wal", "tidegate.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn a_mode_that_somebody_chose_stays() {
    let store = Prepared::new(1, &[]).await;
    std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    store.start().await.unwrap();
    assert_eq!(mode(&store.path()), 0o640);
}

#[test]
fn a_mistyped_path_is_not_an_empty_store() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("vra/lib/tidegate.db");
    assert_for_people(&open(&path).err().unwrap(), &path);
    assert!(!parent.path().join("vra").exists());
    assert_for_people(&open(parent.path()).err().unwrap(), parent.path());
}

#[tokio::test]
async fn the_nodes_table_has_the_shape_of_the_article() {
    let store = Prepared::new(40, &[]).await;
    let documents = NodeDocument::all(&cluster(), &store.state.membership);
    open(&store.path()).unwrap().repair_nodes(&documents).await.unwrap();
    let connection = Connection::open(store.path()).unwrap();
    let mut statement = connection.prepare("select _id, ip, hostname from nodes order by _id").unwrap();
    assert!(statement.column_names().eq(["_id", "ip", "hostname"]));
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let rows: Vec<(String, String, String)> = rows.map(Result::unwrap).collect();
    let mut expected: Vec<_> =
        documents.iter().map(|d| (d.id.to_string(), d.ip.to_string(), d.hostname.clone())).collect();
    expected.sort();
    assert_eq!(rows, expected);
    assert!(rows.iter().all(|(id, ..)| id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    assert!(!rows.is_empty());
}

#[tokio::test]
async fn a_table_that_somebody_edited_is_repaired() {
    let store = Prepared::new(40, &[]).await;
    let documents = NodeDocument::all(&cluster(), &store.state.membership);
    let handle = open(&store.path()).unwrap();
    handle.repair_nodes(&documents).await.unwrap();
    let one = &documents[0].id;
    store.by_hand(&format!("update nodes set ip = 'not an address' where _id = '{one}'"));
    store.by_hand("insert into nodes values ('', '', '', '', '', '', 'prod')");
    let repairs = handle.repair_nodes(&documents).await.unwrap();
    let altered = Repair { kind: RepairKind::Altered, id: one.to_string(), node: documents[0].node.to_string() };
    let foreign = Repair { kind: RepairKind::Foreign, id: String::new(), node: String::new() };
    assert_eq!(repairs, [altered, foreign]);
    assert_eq!(handle.repair_nodes(&documents).await.unwrap(), []);
}

#[tokio::test]
async fn a_repair_of_a_table_that_is_right_writes_nothing() {
    let store = Prepared::new(40, &[]).await;
    let documents = NodeDocument::all(&cluster(), &store.state.membership);
    let handle = open(&store.path()).unwrap();
    handle.repair_nodes(&documents).await.unwrap();
    let observer = Connection::open(store.path()).unwrap();
    let version = || observer.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0)).unwrap();
    let before = version();
    handle.repair_nodes(&documents).await.unwrap();
    handle.write_nodes(&[], &[]).await.unwrap();
    assert_eq!(version(), before, "quiet input, quiet disk");
    handle.repair_nodes(&[]).await.unwrap();
    assert_ne!(version(), before, "the observer does see writes");
}

#[tokio::test]
async fn many_processes_may_create_it_at_once() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.db");
        let openers: Vec<_> = (0..6)
            .map(|_| {
                let path = path.clone();
                thread::spawn(move || open(&path).map(drop))
            })
            .collect();
        for opener in openers {
            opener.join().unwrap().unwrap();
        }
        let store = open(&path).unwrap();
        let entries = Scenario::new(1).commit(&store, 2).await.unwrap();
        assert_eq!(store.newest().await.unwrap().unwrap().revision, Revision(2));
        assert_eq!(entries.len(), 2);
    }
}
