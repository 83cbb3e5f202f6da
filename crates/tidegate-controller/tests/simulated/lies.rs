//! Observations that are wrong, late or missing.

use tidegate_controller::WatchEvent;
use tidegate_core::log::Phase;
use tidegate_core::status::HistoryRow;
use tokio::time::sleep;

use crate::world::{World, eventually, not_ready, seconds, worker, workers};

#[tokio::test(start_paused = true)]
async fn an_empty_list_with_200_removes_nobody() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    let commits = world.store.commits();
    world.cluster.state().lie = Some(Vec::new());
    sleep(seconds(200)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2", "w3"]);
    assert_eq!(world.store.commits(), commits, "nothing was even drained for a moment");
    let gets = world.cluster.state().gets;
    assert!((3..=12).contains(&gets), "{gets} GETs for three lies about three nodes");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_watch_missed_is_repaired_by_the_resync_and_counted() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    world.cluster.state().deaf = true;
    world.cluster.delete("w3");
    world.cluster.apply(worker("w4", "10.0.0.4"));
    world.until_live(&["w1", "w2", "~w3", "w4"], seconds(61)).await;
    assert_eq!(running.metric("tidegate_resync_repairs_total"), 2.0);
    world.until_live(&["w1", "w2", "w4"], seconds(31)).await;
    assert_eq!(world.store.document_nodes(), ["w1", "w2", "w4"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_a_get_denies_did_not_happen() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let commits = world.store.commits();
    let node = world.cluster.node("w1");
    world.cluster.say(&WatchEvent::Deleted(node.name, node.uid));
    eventually(seconds(1), || world.cluster.state().gets == 1, || "no GET".into()).await;
    sleep(seconds(100)).await;
    assert_eq!(world.store.commits(), commits);
    assert_eq!(world.cluster.state().gets, 1, "asked once, believed");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_be_asked_a_deletion_waits_and_the_api_is_not_hammered() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let node = world.cluster.node("w1");
    world.cluster.say(&WatchEvent::Deleted(node.name.clone(), node.uid));
    // The event is on its way when the API goes down.
    world.cluster.state().down = true;
    sleep(seconds(60)).await;
    let gets = world.cluster.state().gets;
    assert!((4..=15).contains(&gets), "{gets} GETs in a minute");
    assert_eq!(world.phase("w1"), Phase::Active);
    world.cluster.state().nodes.remove(&node.name);
    world.cluster.state().down = false;
    world.until_live(&["~w1", "w2"], seconds(21)).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_does_not_undo_what_the_watch_said_meanwhile() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    world.cluster.state().list_takes = seconds(8);
    eventually(seconds(61), || world.cluster.state().lists >= 2, || "no resync".into()).await;
    // The resync has read the old state and is on its way when these happen.
    world.cluster.apply(not_ready(&world.cluster.node("w1"), world.now()));
    world.cluster.delete("w2");
    world.cluster.apply(worker("w4", "10.0.0.4"));
    world.until_live(&["~w1", "~w2", "w3", "w4"], seconds(1)).await;
    let commits = world.store.commits();
    sleep(seconds(15)).await;
    assert_eq!(world.agents[0].live_nodes(), ["~w1", "~w2", "w3", "w4"]);
    assert_eq!(world.store.commits(), commits, "the late answer changed nothing");
    assert_eq!(running.metric("tidegate_resync_repairs_total"), 0.0);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_begins_anew_with_an_old_set_moves_nothing_back() {
    let world = World::new(workers(2));
    let old = workers(1);
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let (commits, lists) = (world.store.commits(), world.cluster.state().lists);
    world.cluster.say(&WatchEvent::Listed(old));
    eventually(seconds(1), || world.cluster.state().lists == lists + 1, || "no LIST".into()).await;
    sleep(seconds(5)).await;
    assert_eq!(world.store.commits(), commits);
    // One that shows what is known already costs nothing.
    world.cluster.say(&WatchEvent::Listed(workers(2)));
    sleep(seconds(5)).await;
    assert_eq!(world.cluster.state().lists, lists + 1);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_put_right_in_the_read_model_is_an_entry_of_the_log() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    sleep(seconds(2)).await;
    let first = world.store.inner().documents.keys().next().cloned().unwrap();
    let lost = world.store.inner().documents.remove(&first).unwrap();
    let repaired = || world.store.inner().log.last().is_some_and(|entry| !entry.repairs.is_empty());
    eventually(seconds(70), repaired, || format!("{:?}", world.store.inner().log.last())).await;
    let entry = world.store.inner().log.last().cloned().unwrap();
    let text = format!("document {first} of node {} was missing and is written again", lost.node);
    assert_eq!(entry.repairs, std::slice::from_ref(&text));
    assert!(entry.changes.is_empty() && entry.orders.is_empty() && !entry.is_election());
    let rows = HistoryRow::about(&entry, None);
    assert_eq!(rows.iter().map(|row| row.note.as_deref()).collect::<Vec<_>>(), [Some(text.as_str())]);
    // The status knows of it at once: nothing else may happen for hours.
    let shown = || {
        let status = running.status();
        status.desired.map(|live| live.position) == Some(entry.position())
            && status.load_balancers.iter().all(|lb| lb.in_sync)
    };
    eventually(seconds(2), shown, || format!("{:?}", running.status())).await;
    let commits = world.store.commits();
    sleep(seconds(180)).await;
    assert_eq!(world.store.commits(), commits, "it is told once");
    running.stop().await.unwrap();
}
