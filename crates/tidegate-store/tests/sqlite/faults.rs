//! A machine that refuses: no space, no permission, somebody else's lock.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use tidegate_core::class::ErrorClass;
use tidegate_store::conformance::scenario::Scenario;
use tidegate_store::{Store, StoreError, commit};

use super::support::{Prepared, assert_for_people, child, open, run_under, store_of_child};

/// Own mounts, gone with the process; without root in a user namespace as well.
fn mount_namespace() -> &'static [&'static str] {
    if is_root() { &["unshare", "--mount"] } else { &["unshare", "--map-root-user", "--mount"] }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn mount(arguments: &[&str], target: &Path) {
    let status = Command::new("mount").args(arguments).arg(target).status().unwrap();
    assert!(status.success(), "mount {arguments:?} {}", target.display());
}

fn assert_waits(error: &StoreError, path: &Path, what: &str) {
    let text = error.to_string();
    assert_eq!(error.class(), ErrorClass::Transient, "{text}");
    assert!(text.contains(&path.display().to_string()) && text.contains(what) && text.contains("cure: "), "{text}");
}

#[test]
fn a_full_disk_loses_nothing_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    run_under(mount_namespace(), "faults::on_a_small_disk", folder.path());
}

#[tokio::test]
#[ignore = "a child process of the test above, in its own mount namespace"]
async fn on_a_small_disk() {
    let Some(folder) = store_of_child() else { return };
    mount(&["-t", "tmpfs", "-o", "size=512k", "tidegate-test"], &folder);
    let path = folder.join("tidegate.db");
    let store = open(&path).unwrap();
    let mut scenario = Scenario::new(1);
    scenario.commit(&store, 10).await.unwrap();
    let ballast = folder.join("ballast");
    let filled = std::fs::write(&ballast, vec![0; 1 << 20]);
    assert!(filled.is_err(), "the disk is full");

    let (refused, before) = commit_until_refused(&store, &mut scenario).await;
    let error = commit(&store, &refused).await.unwrap_err();
    assert_waits(&error, &path, "is full");
    assert_eq!(store.load().await.unwrap(), before, "what was acknowledged is there, what was refused is not");

    std::fs::remove_file(&ballast).unwrap();
    commit(&store, &refused).await.unwrap();
    assert_eq!(open(&path).unwrap().load().await.unwrap(), *scenario.state());
    opening_on_a_full_disk(&folder);
}

async fn commit_until_refused(
    store: &dyn Store,
    scenario: &mut Scenario,
) -> (tidegate_core::log::LogEntry, tidegate_core::log::LogState) {
    loop {
        let before = scenario.state().clone();
        let entry = scenario.advance();
        if commit(store, &entry).await.is_err() {
            return (entry, before);
        }
        assert!(before.position.revision.0 < 5_000, "a disk of 512 kB is full before that");
    }
}

fn opening_on_a_full_disk(folder: &Path) {
    let _full = std::fs::write(folder.join("ballast"), vec![0; 1 << 20]).unwrap_err();
    let path = folder.join("second.db");
    assert_waits(&open(&path).err().unwrap(), &path, "is full");
    std::fs::remove_file(folder.join("ballast")).unwrap();
    open(&path).unwrap();
}

#[tokio::test]
async fn a_read_only_disk_is_named() {
    let store = Prepared::new(5, &[]).await;
    run_under(mount_namespace(), "faults::on_a_read_only_disk", &store.path());
    assert_eq!(store.start().await.unwrap(), store.state);
}

#[test]
#[ignore = "a child process of the test above, in its own mount namespace"]
fn on_a_read_only_disk() {
    let Some(path) = store_of_child() else { return };
    let folder = path.parent().unwrap().display().to_string();
    mount(&["--bind", &folder], Path::new(&folder));
    mount(&["-o", "remount,bind,ro"], Path::new(&folder));
    assert_for_people(&open(&path).err().unwrap(), &path);
    let new = path.with_file_name("new.db");
    assert_for_people(&open(&new).err().unwrap(), &new);
}

#[tokio::test]
async fn a_file_of_another_user_is_named() {
    for (file_mode, folder_mode) in [(0o000, 0o755), (0o444, 0o755), (0o666, 0o000), (0o666, 0o555)] {
        let store = Prepared::new(5, &[]).await;
        set_mode(&store.path(), file_mode);
        set_mode(store.folder.path(), folder_mode);
        run_as_nobody("faults::without_permission", &store.path());
        set_mode(store.folder.path(), 0o700);
        set_mode(&store.path(), 0o600);
        assert_eq!(store.start().await.unwrap(), store.state, "{file_mode:o} {folder_mode:o}");
    }
}

#[test]
#[ignore = "a child process of the test above, without privileges"]
fn without_permission() {
    let Some(path) = store_of_child() else { return };
    assert_for_people(&open(&path).err().unwrap(), &path);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Root may do anything, so it becomes nobody, with a copy of this binary that nobody can reach.
fn run_as_nobody(test: &str, store: &Path) {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    let program = folder.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = child(&program, test, store);
    if is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn somebody_elses_lock_delays_a_commit_or_is_named() {
    let store = Prepared::new(5, &[]).await;
    let handle = open(&store.path()).unwrap();
    let mut scenario = Scenario::resume(1, store.state.clone());
    let entry = scenario.advance();
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("begin immediate").unwrap();
    assert_waits(&commit(&handle, &entry).await.unwrap_err(), &store.path(), "locked by another process");
    assert_eq!(handle.load().await.unwrap(), store.state, "a lock does not keep anyone from reading");

    let waiting = tokio::spawn(async move { commit(&handle, &entry).await });
    other.execute_batch("rollback").unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_file_that_somebody_has_to_himself_is_named() {
    let store = Prepared::new(5, &[]).await;
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("pragma locking_mode = exclusive; begin immediate; delete from nodes; commit").unwrap();
    assert_waits(&open(&store.path()).err().unwrap(), &store.path(), "locked by another process");
    drop(other);
    assert_eq!(store.start().await.unwrap(), store.state);
}
