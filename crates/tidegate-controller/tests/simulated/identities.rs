//! Nodes and addresses that are not one to one.

use tidegate_core::eligibility::Rule;
use tidegate_core::ids::NodeUid;
use tidegate_core::log::Phase;
use tokio::time::sleep;

use crate::world::{World, seconds, worker, workers};

#[tokio::test(start_paused = true)]
async fn two_nodes_with_one_address_and_one_without() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    world.cluster.apply(worker("thief", "10.0.0.1"));
    let mut bare = worker("bare", "10.0.0.9");
    bare.addresses.clear();
    world.cluster.apply(bare);
    sleep(seconds(65)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2"]);
    let status = running.status();
    let of = |name: &str| status.nodes.iter().find(|n| n.name.as_str() == name).unwrap().clone();
    let thief = of("thief");
    assert_eq!((thief.state, thief.rule), (Phase::Out, Rule::NoAddress));
    assert!(thief.reason.contains("10.0.0.1 belongs to node w1"), "{}", thief.reason);
    let bare = of("bare");
    assert_eq!((bare.state, bare.rule), (Phase::Out, Rule::NoAddress));
    // The owner leaves: the address is free for the other one.
    world.cluster.delete("w1");
    world.until_live(&["thief", "w2"], seconds(2)).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_loses_its_address_keeps_the_one_it_had() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    world.cluster.edit("w1", |n| n.addresses.clear());
    sleep(seconds(65)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_re_created_under_its_name_is_another_node() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let mut again = worker("w1", "10.0.0.7");
    again.uid = NodeUid::parse("u-w1-again").unwrap();
    again.ready.as_mut().unwrap().since = world.now();
    // As the watch shows it that missed the deletion.
    world.cluster.apply(again);
    world.until_live(&["w2"], seconds(1)).await;
    assert_eq!(world.store.document_nodes(), ["w2"]);
    let took = world.until_live(&["w2", "w1"], seconds(11)).await;
    assert!(took > seconds(9), "the new one joins like any other: {took:?}");
    running.stop().await.unwrap();
}
