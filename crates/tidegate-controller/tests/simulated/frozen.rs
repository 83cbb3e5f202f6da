//! Guards, as an operator sees them: a stale view, and the last active node.

use tidegate_core::eligibility::Rule;
use tidegate_core::guard::Guard;
use tidegate_core::log::Phase;
use tokio::time::sleep;

use crate::world::{World, announce_end, eventually, not_ready, seconds, worker, workers};

#[tokio::test(start_paused = true)]
async fn a_stale_view_takes_nothing_out_that_nobody_asked_for() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    world.cluster.state().cannot_list = true;
    sleep(seconds(89)).await;
    assert_eq!(running.status().frozen, None, "one failed resync is no reason");
    let lists = world.cluster.state().lists;
    assert!((3..=12).contains(&lists), "{lists} LISTs: retried, and not hammered");
    sleep(seconds(2)).await;
    let frozen = running.status().frozen.expect("frozen when the LIST is 90 s old");
    assert!(frozen.reason.contains("limit 1m 30s") && frozen.reason.contains("connection refused"), "{frozen:?}");

    let held = not_ready(&world.cluster.node("w1"), world.now());
    world.cluster.apply(held);
    world.cluster.edit("w2", announce_end);
    world.until_live(&["w1", "~w2", "w3"], seconds(1)).await;
    let took = world.until_live(&["w1", "w3"], seconds(31)).await;
    assert!(took > seconds(29), "{took:?}");
    let status = running.status();
    let w1 = status.nodes.iter().find(|n| n.name.as_str() == "w1").unwrap();
    assert_eq!((w1.state, w1.rule, w1.held_by), (Phase::Active, Rule::NotReady, Some(Guard::Fresh)));
    assert_eq!(status.guards.len(), 1);
    assert_eq!(running.metric("tidegate_guard_holding{guard=\"fresh\"}"), 1.0);

    world.cluster.state().cannot_list = false;
    world.until_live(&["~w1", "w3"], seconds(11)).await;
    assert_eq!(running.status().frozen, None);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn when_all_seem_to_fail_they_stay_and_the_status_says_why() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    for node in ["w1", "w2", "w3"] {
        world.cluster.apply(not_ready(&world.cluster.node(node), world.now()));
        sleep(seconds(2)).await;
    }
    // w1 went before the others failed as well, and is back.
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    sleep(seconds(120)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2", "w3"]);
    let status = running.status();
    let guard = &status.guards[0];
    assert_eq!((guard.guard, guard.holding.len()), (Guard::AllFailing, 3));
    assert!(guard.since <= world.now() - jiff::SignedDuration::from_secs(119), "since it began: {}", guard.since);
    assert!(!status.is_in_sync());
    // Another node becomes active: one of them goes when that is certain, another in five minutes, and half of all stay.
    world.cluster.apply(worker("w4", "10.0.0.4"));
    world.until_live(&["w1", "w2", "w3", "w4"], seconds(2)).await;
    let guard = || running.status().guards.first().map(|guard| guard.guard);
    eventually(seconds(12), || guard() == Some(Guard::Velocity), || format!("{:?}", running.status().guards)).await;
    world.until_live(&["w2", "w3", "w4"], seconds(40)).await;
    world.until_live(&["~w2", "w3", "w4"], seconds(300)).await;
    assert_eq!(guard(), Some(Guard::Half));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_any_node_nothing_is_published_and_the_status_says_so() {
    let world = World::new(Vec::new());
    let running = world.start();
    sleep(seconds(30)).await;
    assert_eq!(world.agents[0].inner().pushes, 0);
    let status = running.status();
    assert_eq!(status.desired, None);
    assert!(status.guards[0].reason.contains("no node is active for listener http"), "{:?}", status.guards);
    assert_eq!(running.api.problem(), None, "ready all the same");
    world.cluster.apply(worker("w1", "10.0.0.1"));
    world.until_live(&["w1"], seconds(1)).await;
    eventually(seconds(3), || running.status().is_in_sync(), || format!("{:?}", running.status())).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_joins_after_its_delay_and_a_drain_is_cancelled_by_ready() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let mut young = worker("w3", "10.0.0.3");
    young.ready.as_mut().unwrap().since = world.now();
    world.cluster.apply(young);
    let took = world.until_live(&["w1", "w2", "w3"], seconds(11)).await;
    assert!(took >= seconds(9), "{took:?}");

    let healthy = world.cluster.node("w1");
    world.cluster.apply(not_ready(&healthy, world.now()));
    world.until_live(&["~w1", "w2", "w3"], seconds(1)).await;
    sleep(seconds(10)).await;
    world.cluster.apply(healthy);
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    running.stop().await.unwrap();
}
