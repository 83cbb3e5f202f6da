//! The controller on its real embedded store.

use std::sync::Arc;

use tidegate_store::{HistoryQuery, SqliteStore, Store};

use crate::world::{Running, World, eventually, seconds, worker, workers};

fn open(world: &World, directory: &tempfile::TempDir) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(&directory.path().join("tidegate.db"), &world.settings.cluster).unwrap())
}

async fn until_in_sync(running: &Running) {
    let in_sync = || running.api.status().is_some_and(|s| s.is_in_sync());
    eventually(seconds(20), in_sync, || format!("{:?}", running.api.status())).await;
}

async fn terms(store: &SqliteStore) -> Vec<u64> {
    let entries = store.history(&HistoryQuery { node: None, limit: 100 }).await.unwrap();
    entries.iter().rev().map(|e| e.term.0).collect()
}

#[tokio::test]
async fn restarts_raise_the_term_and_a_deleted_store_is_got_over() {
    let world = World::new(workers(2));
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let store = open(&world, &directory);
        let running = world.start_on(store.clone(), world.settings.clone());
        world.until_live(&["w1", "w2"], seconds(20)).await;
        until_in_sync(&running).await;
        running.stop().await.unwrap();
    }
    assert_eq!(terms(&open(&world, &directory)).await, [1, 1, 2]);

    let directory = tempfile::tempdir().unwrap();
    world.cluster.apply(worker("w3", "10.0.0.3"));
    let store = open(&world, &directory);
    let running = world.start_on(store.clone(), world.settings.clone());
    world.until_live(&["w1", "w2", "w3"], seconds(20)).await;
    until_in_sync(&running).await;
    assert_eq!(terms(&store).await, [1, 1, 3]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_controller_on_one_file_fences_the_first() {
    let world = World::new(workers(2));
    let directory = tempfile::tempdir().unwrap();
    let one = world.start_on(open(&world, &directory), world.settings.clone());
    world.until_live(&["w1", "w2"], seconds(20)).await;
    let mut settings = world.settings.clone();
    settings.holder = "two".into();
    let two = world.start_on(open(&world, &directory), settings);
    until_in_sync(&two).await;
    world.cluster.apply(worker("w3", "10.0.0.3"));
    let error = one.ended().await.unwrap_err().to_string();
    assert!(error.contains("fenced: two has opened term 2"), "{error}");
    world.until_live(&["w1", "w2", "w3"], seconds(20)).await;
    two.stop().await.unwrap();
}
