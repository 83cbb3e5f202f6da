//! Quiet input costs nothing, and a burst costs little.

use std::time::Duration;

use crate::world::{World, seconds, worker, workers};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn nodes_become_active_and_are_served_and_documented() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    assert_eq!(world.store.document_nodes(), ["w1", "w2", "w3"]);
    assert_eq!(world.store.commits(), 2, "an election, and one commit for all nodes");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ten_quiet_minutes_are_no_write_and_no_push() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    sleep(seconds(5)).await;
    let writes = world.store.inner().writes;
    let pushes = world.agents[0].inner().pushes;
    let polls = world.agents[0].inner().polls;
    for _ in 0..60 {
        sleep(seconds(10)).await;
        for node in ["w1", "w2", "w3"] {
            // A heartbeat: the same node once more.
            world.cluster.edit(node, |_| {});
        }
    }
    assert_eq!(world.store.inner().writes, writes, "store writes");
    assert_eq!(world.agents[0].inner().pushes, pushes, "pushes");
    let polled = world.agents[0].inner().polls - polls;
    assert!((200..=300).contains(&polled), "{polled} polls in ten minutes");
    let lists = world.cluster.state().lists;
    assert!((10..=12).contains(&lists), "{lists} LISTs in ten minutes");
    assert_eq!(running.metric("tidegate_resync_repairs_total"), 0.0);
    assert_eq!(running.metric("tidegate_frozen"), 0.0);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_500_changes_in_two_seconds_is_few_commits_and_the_right_end() {
    let world = World::new((1..=100).map(|n| worker(&format!("n{n}"), &format!("10.0.1.{n}"))).collect());
    let running = world.start();
    sleep(seconds(2)).await;
    let commits = world.store.commits();
    let applied = world.agents[0].inner().applied.len();
    // As an nginx that reloads at most once a second.
    world.agents[0].inner().apply_takes = seconds(1);
    for change in 0..500_u32 {
        let node = format!("n{}", change % 100 + 1);
        world.cluster.edit(&node, |n| {
            let taint = "ToBeDeletedByClusterAutoscaler".to_owned();
            if !n.taints.remove(&taint) {
                n.taints.insert(taint);
            }
        });
        sleep(Duration::from_millis(4)).await;
    }
    // Five toggles each: all of them but the guarded last are draining, then gone.
    sleep(seconds(3)).await;
    let burst = world.store.commits() - commits;
    assert!(burst <= 9, "{burst} commits");
    let reloads = world.agents[0].inner().applied.len() - applied;
    assert!(reloads <= 5, "{reloads} applies");
    assert!(world.agents[0].inner().most_outstanding <= 2);
    let desired = running.status().desired.unwrap();
    let live = world.agents[0].inner().live.clone().unwrap();
    assert_eq!((live.position, live.hash), (desired.position, desired.hash));
    let active = live.pools.values().next().unwrap().iter().filter(|b| b.is_active()).count();
    assert!(active >= 1, "never empty");
    running.stop().await.unwrap();
}
