//! Opening the file: it is ours, it is sound, and every commit reaches the disk.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::thread;
use std::time::{Duration, Instant};

use fs_err::os::unix::fs::OpenOptionsExt;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::failure::{Failure, Place};
use super::schema;
use crate::StoreError;

/// A lock that a tool holds is usually short; a commit that waits longer is better retried by its caller.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a refused lock is tried again.
const BUSY_POLL: Duration = Duration::from_millis(5);

/// An operation's name in errors.
const OPEN: &str = "open the store";

/// Opens, or creates, the file of a store.
pub(super) fn open(place: &Place) -> Result<Connection, StoreError> {
    ensure_folder(place)?;
    ensure_file(place)?;
    connect_patiently(place).map_err(|failure| failure.into_error(OPEN, place))
}

/// SQLite refuses some locks at once, without its busy timeout: those of a process that turns on the write-ahead log
/// of a new file, or that removes it as the last one to close the file.
fn connect_patiently(place: &Place) -> Result<Connection, Failure> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connect(place) {
            Err(Failure::Sqlite(error)) if is_busy(&error) && Instant::now() < deadline => thread::sleep(BUSY_POLL),
            outcome => return outcome,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn connect(place: &Place) -> Result<Connection, Failure> {
    // No CREATE: the file exists by now, with our mode. One thread at a time uses the connection, hence NO_MUTEX.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&place.path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // In a transaction, because another process may be creating the tables.
    schema::check_ours(&connection.transaction()?, place)?;
    configure(&connection, place)?;
    check_integrity(&connection, place)?;
    schema::migrate(&mut connection, place)?;
    Ok(connection)
}

/// Settings of the connection, where SQLite's own default is not ours.
fn configure(connection: &Connection, place: &Place) -> Result<(), Failure> {
    // Readers (`sqlite3`, a backup) never hold up a commit, and a commit is one fsync instead of three.
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let detail = format!("its filesystem cannot keep a write-ahead log (journal mode {mode})");
        return Err(place.refuse(detail, "put it on a local filesystem; network filesystems cannot hold it").into());
    }
    // NORMAL would lose the latest commits in a power cut, after they were published: revisions would go back.
    connection.pragma_update(None, "synchronous", "full")?;
    // After a burst, give the disk back what the write-ahead log took.
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    // A damaged page is an error where it is read, before it is built upon.
    connection.pragma_update(None, "cell_size_check", true)?;
    // The schema of a file that somebody else wrote must not run functions.
    connection.pragma_update(None, "trusted_schema", false)?;
    // Sorting must not need a second file, which a full disk would refuse.
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(())
}

fn check_integrity(connection: &Connection, place: &Place) -> Result<(), Failure> {
    let verdict: String = connection.query_row("pragma quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(place.corrupt_file(verdict).into()) }
}

/// Creates the last folder of the path, for its owner only. Only that one: whoever mistypes a path should hear of it,
/// instead of starting with an empty store.
fn ensure_folder(place: &Place) -> Result<(), StoreError> {
    let folder = place.folder();
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    match builder.create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !folder.is_dir() => {
            let cure = format!("correct store.sqlite.path, or create the folder (`mkdir -p {}`)", folder.display());
            Err(place.refuse(format!("its folder cannot be created: {error}"), cure))
        }
        _ => Ok(()),
    }
}

/// Creates the file with mode 0600, which SQLite then copies to the files beside it. The mode of a file that exists
/// is its owner's business.
fn ensure_file(place: &Place) -> Result<(), StoreError> {
    let refuse = |error: std::io::Error| place.refuse(error.to_string(), place.ownership());
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    match options.open(&place.path) {
        // A new name in a folder survives a power cut only once the folder is synced.
        Ok(_) => fs_err::File::open(place.folder()).and_then(|folder| folder.sync_all()).map_err(refuse),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_file(place),
        Err(error) => Err(refuse(error)),
    }
}

/// SQLite would open a file that it may not write read-only, and fail at the first commit.
fn check_file(place: &Place) -> Result<(), StoreError> {
    let mut options = fs_err::OpenOptions::new();
    match options.read(true).write(true).open(&place.path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            Err(place.refuse("is a folder", "let store.sqlite.path name a file in it"))
        }
        Err(error) => Err(place.refuse(error.to_string(), place.ownership())),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::ids::ClusterName;

    use super::*;

    #[test]
    fn every_commit_is_synced_and_readers_do_not_block_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(&folder.path().join("a.db"), &ClusterName::parse("prod").unwrap());
        let connection = open(&place).unwrap();
        let setting = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(setting("synchronous"), 2, "2 is FULL");
        assert_eq!(setting("busy_timeout"), 2_000);
        assert_eq!(connection.pragma_query_value(None, "journal_mode", |r| r.get::<_, String>(0)).unwrap(), "wal");
    }
}
