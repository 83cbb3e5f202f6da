//! A restart while the rest of the world is down.

use std::sync::Arc;

use tidegate_core::log::Phase;
use tokio::time::sleep;

use crate::agent::FakeAgent;
use crate::store::Fault;
use crate::world::{World, announce_end, eventually, seconds, worker, workers};

#[tokio::test(start_paused = true)]
async fn with_the_api_down_the_last_set_is_served_and_a_drain_ends_on_time() {
    let mut world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    world.cluster.edit("w3", announce_end);
    world.until_live(&["w1", "w2", "~w3"], seconds(1)).await;
    sleep(seconds(10)).await;
    running.stop().await.unwrap();

    world.cluster.state().down = true;
    // The load balancer has lost everything as well.
    world.agents = vec![Arc::new(FakeAgent::new("lb-1"))];
    let running = world.start();
    world.until_live(&["w1", "w2", "~w3"], seconds(1)).await;
    let frozen = running.status().frozen.expect("frozen from the start");
    eventually(
        seconds(2),
        || running.status().frozen.is_some_and(|f| f.reason.contains("connection refused")),
        || format!("{:?}", running.status().frozen),
    )
    .await;
    assert!(frozen.reason.contains("no complete LIST"), "{}", frozen.reason);
    assert_eq!(running.metric("tidegate_frozen"), 1.0);
    let took = world.until_live(&["w1", "w2"], seconds(21)).await;
    assert!(took > seconds(18), "the stored deadline counts, not a new one: {took:?}");

    world.cluster.state().down = false;
    eventually(seconds(12), || running.status().frozen.is_none(), || "still frozen".into()).await;
    assert_eq!(world.phase("w1"), Phase::Active);
    assert_eq!(running.status().leader.term.0, 2);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_waited_for_and_readiness_says_so() {
    let world = World::new(workers(1));
    world.store.inner().fault = Some(Fault::Refuses);
    let running = world.start();
    sleep(seconds(30)).await;
    assert_eq!(running.api.status(), None);
    let why = running.api.problem().unwrap();
    assert!(why.contains("the store cannot be opened: reading: injected"), "{why}");
    assert_eq!(running.metric("tidegate_leader"), 0.0);
    world.store.inner().fault = None;
    world.until_live(&["w1"], seconds(11)).await;
    assert_eq!(running.api.problem(), None);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_could_not_claim_the_log_and_has_nothing_to_record_rests() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    running.stop().await.unwrap();

    world.cluster.state().down = true;
    let running = world.start();
    eventually(seconds(1), || running.api.status().is_some(), || "no term is open".into()).await;
    world.store.inner().fault = Some(Fault::Refuses);
    world.cluster.state().down = false;
    eventually(seconds(12), || running.status().frozen.is_none(), || "still frozen".into()).await;
    // What would have been recorded is withdrawn while it is not certain whose log it is.
    world.cluster.edit("w3", announce_end);
    sleep(seconds(15)).await;
    world.cluster.edit("w3", |node| node.taints.clear());
    sleep(seconds(60)).await;
    world.store.inner().fault = None;
    world.cluster.apply(worker("w4", "10.0.0.4"));
    world.until_live(&["w1", "w2", "w3", "w4"], seconds(11)).await;
    running.stop().await.unwrap();
}
