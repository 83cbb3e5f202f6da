//! The finalizer: put on, held while a node drains, taken off when every load balancer has let go, or at its deadline.

use std::sync::Arc;

use tidegate_core::event::Severity;
use tidegate_core::finalizer::{FINALIZER_ANNOTATION, FinalizerPolicy};
use tokio::time::sleep;

use crate::agent::FakeAgent;
use crate::world::{Running, World, eventually, seconds, workers};

fn world() -> World {
    let mut world = World::new(workers(3));
    world.settings.finalizer = FinalizerPolicy::default();
    world
}

async fn until_finalized(world: &World, nodes: &[&str]) {
    let carries = || nodes.iter().all(|node| world.cluster.node(node).finalizer);
    eventually(seconds(3), carries, || format!("{:?}", world.nodes.written().added)).await;
}

fn delete(world: &World, node: &str) {
    let now = world.now();
    world.cluster.edit(node, |node| node.deleting = Some(now));
}

fn is_there(world: &World, node: &str) -> bool {
    world.cluster.state().nodes.contains_key(&crate::world::name(node))
}

fn released(running: &Running, outcome: &str) -> f64 {
    running.metric(&format!("tidegate_finalizer_released_total{{outcome=\"{outcome}\"}}"))
}

#[tokio::test(start_paused = true)]
async fn a_deleted_node_stays_until_it_is_out_of_every_load_balancer_and_then_goes_at_once() {
    let mut world = world();
    world.agents.push(Arc::new(FakeAgent::new("lb-2")));
    let running = world.start();
    until_finalized(&world, &["w1", "w2", "w3"]).await;
    world.agents[1].inner().cut_off = true;
    delete(&world, "w3");
    sleep(seconds(25)).await;
    assert!(is_there(&world, "w3"), "it drains");
    let held = running.status().finalizers;
    assert_eq!((held.len(), held[0].node.as_str()), (1, "w3"));
    assert!(held[0].waits_for.starts_with("the drain, which ends at"), "{}", held[0].waits_for);
    sleep(seconds(15)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2"]);
    assert!(is_there(&world, "w3"), "lb-2 has not let go");
    assert_eq!(running.status().finalizers[0].waits_for, "the word of lb-2");
    world.agents[1].inner().cut_off = false;
    eventually(seconds(12), || !is_there(&world, "w3"), || format!("{:?}", running.status())).await;
    assert_eq!(world.agents[1].live_nodes(), ["w1", "w2"], "not before");
    eventually(seconds(1), || running.status().finalizers.is_empty(), || "still held".into()).await;
    assert_eq!(released(&running, "drained"), 1.0);
    assert_eq!(world.nodes.reasons("w3"), ["Active", "Draining", "Removed"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_it_goes_with_a_warning_that_says_who_was_waited_for() {
    let mut world = world();
    world.agents.push(Arc::new(FakeAgent::new("lb-2")));
    let running = world.start();
    until_finalized(&world, &["w3"]).await;
    world.agents[1].inner().cut_off = true;
    delete(&world, "w3");
    sleep(seconds(119)).await;
    assert!(is_there(&world, "w3"));
    eventually(seconds(3), || !is_there(&world, "w3"), || "beyond its deadline".into()).await;
    assert_eq!(released(&running, "deadline"), 1.0);
    let warned = || world.nodes.written().events.iter().any(|e| e.reason == "DrainDeadlineExceeded");
    eventually(seconds(1), warned, || "no Event".into()).await;
    let events = world.nodes.written().events.clone();
    let warning = events.iter().find(|e| e.reason == "DrainDeadlineExceeded").unwrap();
    assert_eq!(warning.severity, Severity::Warning);
    assert!(warning.note.contains("lb-2"), "{}", warning.note);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_not_put_on_what_opted_out_or_is_being_deleted_and_comes_off_what_opts_out() {
    let world = world();
    world.cluster.edit("w1", |n| drop(n.annotations.insert(FINALIZER_ANNOTATION.into(), "false".into())));
    let now = world.now();
    world.cluster.edit("w2", |n| n.deleting = Some(now));
    let running = world.start();
    until_finalized(&world, &["w3"]).await;
    sleep(seconds(5)).await;
    assert_eq!(world.nodes.written().added, ["w3"]);
    world.cluster.edit("w3", |n| drop(n.annotations.insert(FINALIZER_ANNOTATION.into(), "false".into())));
    eventually(seconds(2), || !world.cluster.node("w3").finalizer, || "still there".into()).await;
    assert_eq!(released(&running, "unmanaged"), 1.0);
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w3"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_left_behind_is_swept_at_the_next_start_and_a_refusal_is_tried_again() {
    let mut world = world();
    let running = world.start();
    until_finalized(&world, &["w1", "w2", "w3"]).await;
    running.stop().await.unwrap();
    delete(&world, "w3");
    sleep(seconds(600)).await;
    assert!(is_there(&world, "w3"), "with the controller away it waits");
    world.nodes.written().refuses = true;
    let running = world.start();
    sleep(seconds(3)).await;
    world.nodes.written().refuses = false;
    eventually(seconds(10), || !is_there(&world, "w3"), || format!("{:?}", running.status())).await;
    running.stop().await.unwrap();

    world.settings.finalizer.enabled = false;
    let running = world.start();
    let clean = || ["w1", "w2"].iter().all(|node| !world.cluster.node(node).finalizer);
    eventually(seconds(3), clean, || "switched off, and still there".into()).await;
    running.stop().await.unwrap();
}
