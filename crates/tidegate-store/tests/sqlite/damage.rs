//! A file that somebody edited, cut, overwrote or mistook: each is an error with a cure, never a wrong state.

use std::path::Path;

use rusqlite::Connection;
use tidegate_core::class::ErrorClass;
use tidegate_core::log::ReplayError;
use tidegate_core::position::{Position, Revision};
use tidegate_store::conformance::scenario::Random;
use tidegate_store::{HistoryQuery, Store, StoreError};

use super::support::{Prepared, assert_for_people, open};

fn refused(path: &Path) -> StoreError {
    let Err(error) = open(path) else { panic!("{} must not open", path.display()) };
    error
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let notes = "buy milk\n".repeat(1_000);
    std::fs::write(&path, &notes).unwrap();
    let error = refused(&path);
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert_for_people(&error, &path);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (name, sql) in [("a", "create table photos (id)"), ("b", "pragma application_id = 7; pragma user_version = 1")]
    {
        let path = folder.path().join(name);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = refused(&path);
        assert!(error.to_string().contains("another program"), "{error}");
        assert_for_people(&error, &path);
        assert!(std::fs::read(&path).unwrap() == before, "{sql}: not a byte was written");
    }
}

#[tokio::test]
async fn the_file_of_a_later_version_is_left_alone() {
    let store = Prepared::new(3, &[]).await;
    Connection::open(store.path()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(&store.path());
    assert!(matches!(error, StoreError::NewerSchema { found: 99, supported: 4 }), "{error}");
    let version =
        Connection::open(store.path()).unwrap().pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0));
    assert_eq!(version.unwrap(), 99);
}

#[tokio::test]
async fn a_file_that_was_cut_is_refused() {
    let store = Prepared::new(60, &[]).await;
    let whole = std::fs::read(store.path()).unwrap();
    for length in [50, 100, 3_000, 4_096, whole.len() / 2, whole.len() - 4_096, whole.len() - 1] {
        std::fs::write(store.path(), &whole[..length]).unwrap();
        match store.start().await {
            // SQLite reads what is missing of its last page as zeros, which may not matter.
            Ok(state) => {
                assert!(length > whole.len() - 4_096 && state == store.state, "{length} of {} bytes", whole.len());
            }
            Err(error) => assert_for_people(&error, &store.path()),
        }
    }
}

#[tokio::test]
async fn an_overwritten_page_is_an_error_or_does_not_matter() {
    let store = Prepared::new(60, &[20]).await;
    let whole = std::fs::read(store.path()).unwrap();
    let pages = whole.len() / 4_096;
    let mut refused = 0;
    for page in 0..pages {
        let mut damaged = whole.clone();
        damaged[page * 4_096..(page + 1) * 4_096].fill(0x5A);
        std::fs::write(store.path(), &damaged).unwrap();
        match store.start().await {
            Ok(state) => assert_eq!(state, store.state, "page {page}"),
            Err(error) => {
                assert_for_people(&error, &store.path());
                refused += 1;
            }
        }
    }
    assert!(pages > 8 && refused > pages / 2, "{refused} of {pages} pages were missed");
}

#[tokio::test]
async fn a_flipped_bit_is_an_error_or_does_not_matter() {
    let store = Prepared::new(30, &[10]).await;
    let whole = std::fs::read(store.path()).unwrap();
    let mut random = Random::new(1, Revision(1));
    let mut refused = 0;
    for _ in 0..1_000 {
        let (byte, bit) = (random.below(whole.len() as u64), random.below(8));
        let mut damaged = whole.clone();
        damaged[usize::try_from(byte).unwrap()] ^= 1 << bit;
        std::fs::write(store.path(), &damaged).unwrap();
        match store.start().await {
            Ok(state) => assert!(state == store.state, "byte {byte} bit {bit}: {}", state.position),
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Permanent, "byte {byte} bit {bit}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused} of 1,000 flips were noticed");
}

#[tokio::test]
async fn a_row_that_was_deleted_is_a_gap() {
    let store = Prepared::new(20, &[10]).await;
    store.by_hand("delete from revisions where revision = 15");
    let error = store.start().await.unwrap_err();
    let gap = ReplayError::Gap { expected: Revision(15), found: Revision(16) };
    assert!(matches!(&error, StoreError::Damaged { source, .. } if *source == gap), "{error}");
    assert!(error.to_string().contains("cure: "), "{error}");
}

#[tokio::test]
async fn a_log_that_ends_before_its_snapshot_is_refused() {
    let store = Prepared::new(20, &[5, 20]).await;
    store.by_hand("delete from revisions where revision > 12");
    let error = store.start().await.unwrap_err();
    assert!(error.to_string().contains("revision 20"), "going back to 12 would be wrong: {error}");
    assert_for_people(&error, &store.path());
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_refused() {
    for sql in
        ["delete from revisions where revision > 15", "update revisions set cluster = 'prnd' where revision = 20"]
    {
        let store = Prepared::new(20, &[10]).await;
        store.by_hand(sql);
        let error = store.start().await.unwrap_err();
        assert!(error.to_string().contains("revision 20"), "{error}");
        assert_for_people(&error, &store.path());
    }
}

#[tokio::test]
async fn a_row_that_was_edited_does_not_add_up() {
    let store = Prepared::new(20, &[5]).await;
    let revision = edited_address(&store);
    let error = store.start().await.unwrap_err();
    let StoreError::Damaged { source: ReplayError::HashMismatch { revision: found, .. }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*found, revision, "{error}");
}

/// Gives the nodes of the last entry that has addresses another one.
fn edited_address(store: &Prepared) -> Revision {
    let newest = "select max(revision) from revisions where changes like '%10.0.0.%'";
    let revision: i64 = Connection::open(store.path()).unwrap().query_row(newest, [], |row| row.get(0)).unwrap();
    store.by_hand(&format!(
        "update revisions set changes = replace(changes, '10.0.0.', '10.66.0.') where revision = {revision}"
    ));
    Revision(revision.try_into().unwrap())
}

#[tokio::test]
async fn an_older_term_in_a_later_row_is_refused() {
    let store = Prepared::new(20, &[]).await;
    let Position { term, revision } = store.state.position;
    store.by_hand(&format!("update revisions set term = 0 where revision = {revision}"));
    let error = store.start().await.unwrap_err();
    let StoreError::Damaged { source: ReplayError::TermWentBack { before, .. }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*before, term, "the scenario's last entry is no election");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    for (column, value) in [
        ("changes", "[{]"),
        ("changes", "{}"),
        ("at", "yesterday"),
        ("state_hash", "abc"),
        ("changes", "[{\"uid\":\"a;b\"}]"),
    ] {
        let store = Prepared::new(5, &[]).await;
        store.by_hand(&format!("update revisions set {column} = '{value}' where revision = 3"));
        let error = store.start().await.unwrap_err();
        assert_for_people(&error, &store.path());
        let text = error.to_string();
        assert!(text.contains("revision 3 of cluster prod in table revisions") && text.contains(column), "{text}");
        let history = open(&store.path()).unwrap().history(&HistoryQuery { node: None, limit: 2 }).await;
        assert_eq!(history.map_err(|e| e.to_string()), Err(text.clone()), "pages are read whole");
    }
}
