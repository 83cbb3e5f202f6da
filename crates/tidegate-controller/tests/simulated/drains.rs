//! Orders of operators, and drains that end before their time.

use tidegate_controller::OrderError;
use tidegate_core::eligibility::Rule;
use tokio::time::sleep;

use crate::replica::FakeLease;
use crate::store::Fault;
use crate::world::{World, announce_end, eventually, name, seconds, settings, workers};

#[tokio::test(start_paused = true)]
async fn a_drain_is_recorded_survives_its_leader_and_ends_with_undrain() {
    let world = World { lease: Some(FakeLease::default()), ..World::new(workers(3)) };
    let one = world.start_as(settings("one"));
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    let two = world.start_as(settings("two"));
    sleep(seconds(3)).await;
    let reply = one.api.drain(name("w1"), "ann".into(), "new disk".into()).await.unwrap();
    assert_eq!((reply.node.as_str(), reply.already), ("w1", None));
    let recorded = |world: &World| world.store.inner().log.iter().find(|e| e.position() == reply.position).cloned();
    assert_eq!(recorded(&world).unwrap().orders[0].by, "ann");
    world.until_live(&["~w1", "w2", "w3"], seconds(1)).await;
    let again = one.api.drain(name("w1"), "bob".into(), String::new()).await.unwrap();
    assert!(again.already.is_some_and(|words| words.contains("by ann") && words.contains("new disk")));
    one.kill();
    world.until_live(&["w2", "w3"], seconds(35)).await;
    sleep(seconds(60)).await;
    let status = two.status();
    let node = status.nodes.iter().find(|n| n.name.as_str() == "w1").unwrap();
    assert_eq!(node.rule, Rule::Drained);
    assert!(node.reason.contains("ann"), "{}", node.reason);
    two.api.undrain(name("w1"), "bob".into(), String::new()).await.unwrap();
    world.until_live(&["w1", "w2", "w3"], seconds(12)).await;
    let again = two.api.undrain(name("w1"), "bob".into(), String::new()).await.unwrap();
    assert!(again.already.is_some_and(|words| words.contains("not drained")));
    two.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_order_ends_with_its_node_and_bad_ones_are_refused_in_words() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    let unknown = running.api.drain(name("nope"), "ann".into(), String::new()).await.unwrap_err();
    assert_eq!(unknown, OrderError::NoSuchNode { node: name("nope") });
    running.api.drain(name("w1"), "ann".into(), String::new()).await.unwrap();
    world.until_live(&["w2", "w3"], seconds(40)).await;
    assert!(!world.store.state().orders.is_empty());
    world.cluster.delete("w1");
    eventually(seconds(70), || world.store.state().orders.is_empty(), || "the order outlives its node".into()).await;
    let last = world.store.inner().log.last().unwrap().orders[0].to_string();
    assert_eq!(last, "forget of w1 by tidegate: the node is gone");
    world.store.inner().fault = Some(Fault::Refuses);
    let stuck = running.api.drain(name("w2"), "ann".into(), String::new()).await.unwrap_err();
    assert!(stuck.to_string().contains("the store does not answer"), "{stuck}");
    world.store.inner().fault = None;
    world.until_live(&["~w2", "w3"], seconds(11)).await;
    running.stop().await.unwrap();
}

/// Seed 174 of the simulation: a load balancer that stays behind the log holds up whoever waits for its word.
#[tokio::test(start_paused = true)]
async fn an_order_that_changes_no_pool_reaches_the_load_balancers_all_the_same() {
    let world = World::new(workers(3));
    world.cluster.edit("w3", |node| {
        node.labels.insert("node.kubernetes.io/exclude-from-external-load-balancers".into(), String::new());
    });
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let reply = running.api.drain(name("w3"), "ann".into(), String::new()).await.unwrap();
    let live = || world.agents[0].inner().live.as_ref().map(|state| state.position);
    eventually(seconds(1), || live() == Some(reply.position), || format!("{:?}", live())).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_the_last_connection_has_gone_and_costs_no_write_before() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    world.agents[0].inner().connections = Some(3);
    world.cluster.edit("w1", announce_end);
    world.until_live(&["~w1", "w2", "w3"], seconds(1)).await;
    let writes = world.store.inner().writes;
    sleep(seconds(10)).await;
    assert_eq!(world.agents[0].live_nodes(), ["~w1", "w2", "w3"], "three connections are left");
    assert_eq!(world.store.inner().writes, writes);
    world.agents[0].inner().connections = Some(0);
    world.until_live(&["w2", "w3"], seconds(4)).await;
    let last = world.store.inner().log.last().unwrap().changes[0].observation.clone();
    assert!(last.contains("no connection was left"), "{last}");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_log_of_another_cluster_is_not_touched() {
    let world = World::new(workers(3));
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    running.stop().await.unwrap();
    world.nodes.written().uid = Some("cluster-2".into());
    world.cluster.edit("w1", announce_end);
    let error = world.start().ended().await.unwrap_err().to_string();
    assert!(error.contains("belongs to another Kubernetes cluster") && error.contains("cure: "), "{error}");
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2", "w3"]);
    assert!(world.store.inner().log.last().unwrap().is_election());
}
