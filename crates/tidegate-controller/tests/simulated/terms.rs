//! Who may write: two controllers, a store in trouble, a store that was lost.

use std::sync::Arc;
use std::time::Duration;

use tidegate_controller::ControllerError;
use tidegate_core::class::ErrorClass;
use tokio::time::sleep;

use crate::store::{Fault, MemoryStore};
use crate::world::{World, announce_end, eventually, not_ready, seconds, settings, worker, workers};

#[tokio::test(start_paused = true)]
async fn the_older_controller_on_a_store_ends_with_its_next_decision() {
    let world = World::new(workers(2));
    let one = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let two = world.start_as(settings("two"));
    sleep(Duration::from_millis(100)).await;
    world.cluster.apply(worker("w3", "10.0.0.3"));
    let error = one.ended().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Fenced);
    assert!(error.to_string().contains("fenced: two has opened term 2"), "{error}");
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    let holders: Vec<String> = world.store.inner().log.iter().map(|e| e.holder.clone()).collect();
    assert_eq!(holders, ["one", "one", "two", "two"]);
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_older_controller_ends_at_the_next_resync_even_when_nothing_happens() {
    let world = World::new(workers(2));
    let one = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let two = world.start_as(settings("two"));
    sleep(seconds(1)).await;
    let ControllerError::Fenced { holder, .. } = one.ended().await.unwrap_err() else { panic!("not fenced") };
    assert_eq!(holder, "two");
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_nothing_new_is_published_and_afterwards_the_newest_is() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    world.store.inner().fault = Some(Fault::Refuses);
    let commits = world.store.commits();
    world.cluster.apply(worker("w4", "10.0.0.4"));
    sleep(seconds(30)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2", "w3"]);
    let frozen = running.status().frozen.expect("the status should say so");
    assert!(frozen.reason.contains("the store does not answer"), "{}", frozen.reason);
    world.cluster.edit("w1", announce_end);
    world.store.inner().fault = None;
    world.until_live(&["~w1", "w2", "w3", "w4"], seconds(11)).await;
    assert_eq!(world.store.commits(), commits + 2);
    assert_eq!(running.status().frozen, None);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_waited_for_the_store_and_is_out_of_date_is_never_published() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    sleep(seconds(5)).await;
    let applied = world.agents[0].inner().applied.len();
    world.store.inner().fault = Some(Fault::Refuses);
    let healthy = world.cluster.node("w1");
    world.cluster.apply(not_ready(&healthy, world.now()));
    sleep(seconds(20)).await;
    world.cluster.apply(healthy);
    sleep(seconds(1)).await;
    let commits = world.store.commits();
    world.store.inner().fault = None;
    eventually(seconds(11), || world.store.commits() == commits + 2, || "not committed".into()).await;
    eventually(seconds(5), || running.status().is_in_sync(), || format!("{:?}", running.status())).await;
    let seen = world.agents[0].inner().applied.len() - applied;
    assert_eq!(seen, 0, "the content is what it was: out and in again happened in the record alone");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_found_and_not_written_twice() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let commits = world.store.commits();
    world.store.inner().fault = Some(Fault::LosesAnswer);
    world.cluster.apply(worker("w3", "10.0.0.3"));
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    assert_eq!(world.store.commits(), commits + 1);
    world.store.inner().fault = Some(Fault::Hangs);
    world.cluster.apply(worker("w4", "10.0.0.4"));
    sleep(seconds(15)).await;
    assert!(running.status().frozen.is_some_and(|f| f.reason.contains("no answer within 10 s")));
    world.store.inner().fault = None;
    world.until_live(&["w1", "w2", "w3", "w4"], seconds(21)).await;
    assert_eq!(world.store.commits(), commits + 2);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_store_is_got_over_by_one_visible_term_above_the_load_balancers() {
    let mut world = World::new(workers(2));
    for _ in 0..3 {
        let running = world.start();
        world.until_live(&["w1", "w2"], seconds(1)).await;
        sleep(seconds(1)).await;
        running.stop().await.unwrap();
    }
    let before = world.agents[0].inner().live.clone().unwrap().position;
    assert_eq!(before.term.0, 3);
    world.store = Arc::new(MemoryStore::default());
    world.cluster.apply(worker("w3", "10.0.0.3"));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(5)).await;
    let terms: Vec<u64> = world.store.inner().log.iter().map(|e| e.term.0).collect();
    assert_eq!(terms, [1, 1, 4], "the jump is an entry of the history");
    eventually(seconds(5), || running.status().is_in_sync(), || format!("{:?}", running.status())).await;
    assert_eq!(running.status().load_balancers[0].last_error, None);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_controller_does_not_take_the_term_that_it_opened_meanwhile_for_anothers() {
    let mut world = World::new(workers(2));
    for _ in 0..2 {
        let running = world.start();
        world.until_live(&["w1", "w2"], seconds(1)).await;
        running.stop().await.unwrap();
    }
    world.store = Arc::new(MemoryStore::default());
    // The repair of the read model, begun with the first LIST, sees the log only after the jump above the load balancer.
    world.store.inner().newest_takes = seconds(1);
    world.cluster.apply(worker("w3", "10.0.0.3"));
    let running = world.start();
    sleep(seconds(5)).await;
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_controllers_with_two_stores_do_not_outbid_each_other_for_ever() {
    let mut world = World::new(workers(2));
    let one = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    world.store = Arc::new(MemoryStore::default());
    // Its second start has a term of its own, so that it cannot be mistaken for the first controller.
    let two = world.start_as(settings("two"));
    sleep(seconds(1)).await;
    two.stop().await.unwrap();
    let two = world.start_as(settings("two"));
    sleep(seconds(60)).await;
    let term = || world.agents[0].inner().live.as_ref().unwrap().position.term;
    let settled = term();
    sleep(seconds(600)).await;
    assert_eq!(term(), settled, "the terms stopped growing");
    assert!(settled.0 <= 4, "{settled}");
    let behind = [&one, &two].map(|c| c.status().load_balancers[0].last_error.clone());
    let told: Vec<_> = behind.iter().flatten().collect();
    assert_eq!(told.len(), 1, "exactly one of them is not in charge, and says so: {behind:?}");
    assert!(told[0].message.contains("another controller drives this load balancer"), "{}", told[0].message);
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}
