//! Hooks that are lost, repeated, late, reordered or refused.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::time::sleep;

use crate::agent::{FakeAgent, Fault};
use crate::world::{World, announce_end, eventually, seconds, worker, workers};

/// Numbers that a seed repeats (Knuth's 64-bit linear congruential generator).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn any_fault(random: &mut Random) -> Fault {
    match random.below(5) {
        0 => Fault::LosesHook,
        1 => Fault::LosesAnswer,
        2 => Fault::Delays(Duration::from_millis(random.below(8000))),
        3 => Fault::Repeats,
        _ => Fault::RollsBack(failure(ErrorClass::Transient)),
    }
}

fn failure(class: ErrorClass) -> Failure {
    Failure { step: Step::Validate, class, message: "no such directive".into(), cure: "fix it".into() }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_hooks_every_load_balancer_ends_with_what_is_desired() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut world = World::new(workers(4));
        world.agents.push(Arc::new(FakeAgent::new("lb-2")));
        for agent in &world.agents {
            agent.inner().faults = (0..30).map(|_| any_fault(&mut random)).collect();
        }
        let running = world.start();
        for _ in 0..15 {
            let node = format!("w{}", random.below(4) + 1);
            world.cluster.edit(&node, |n| {
                let taint = "ToBeDeletedByClusterAutoscaler".to_owned();
                if !n.taints.remove(&taint) {
                    n.taints.insert(taint);
                }
            });
            sleep(Duration::from_millis(random.below(3000))).await;
        }
        for agent in &world.agents {
            agent.inner().faults.clear();
        }
        let in_sync = || running.status().load_balancers.iter().all(|lb| lb.in_sync);
        eventually(seconds(20), in_sync, || format!("seed {seed}: {:?}", running.status().load_balancers)).await;
        let states = || world.agents.iter().map(|a| a.inner().live.clone().unwrap()).collect::<Vec<_>>();
        assert_eq!(states()[0], states()[1], "seed {seed}");
        for agent in &world.agents {
            let inner = agent.inner();
            assert!(inner.most_outstanding <= 2, "seed {seed}: {} pushes at a time", inner.most_outstanding);
            assert!(inner.applied.is_sorted_by_key(|s| s.position), "seed {seed}: positions went back");
            assert!(inner.applied.iter().all(|s| s.starved().is_empty()), "seed {seed}: a starved state");
        }
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_hook_costs_a_moment_and_the_event_is_timed_to_its_end() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let timed = running.metric("tidegate_event_to_live_seconds_count");
    world.agents[0].inner().faults.push_back(Fault::LosesHook);
    world.cluster.edit("w2", announce_end);
    let took = world.until_live(&["w1", "~w2"], seconds(3)).await;
    assert!(took >= Duration::from_millis(500), "a retry waits: {took:?}");
    eventually(seconds(1), || running.metric("tidegate_event_to_live_seconds_count") > timed, || running.metrics())
        .await;
    assert_eq!(running.metric("tidegate_hook_total{lb=\"lb-1\",result=\"unreachable\"}"), 1.0);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_that_was_away_is_brought_up_to_date_when_it_is_back() {
    let mut world = World::new(workers(2));
    world.agents.push(Arc::new(FakeAgent::new("lb-2")));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    world.agents[1].inner().cut_off = true;
    world.cluster.apply(worker("w3", "10.0.0.3"));
    sleep(seconds(120)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2", "w3"], "the other one is not held up");
    let status = running.status();
    let error = status.load_balancers[1].last_error.clone().expect("it should say that it cannot be reached");
    assert!(error.message.contains("cannot be reached") && error.message.contains("cure:"), "{}", error.message);
    assert!(status.load_balancers[0].in_sync && !status.load_balancers[1].in_sync);
    assert_eq!(running.metric("tidegate_lb_in_sync{lb=\"lb-2\"}"), 0.0);
    assert_eq!(running.metric("tidegate_lb_revision_lag{lb=\"lb-2\"}"), 1.0);
    let pushes = world.agents[1].inner().pushes;
    assert!(pushes < 30, "{pushes} pushes into the void");
    world.agents[1].inner().cut_off = false;
    world.until_live(&["w1", "w2", "w3"], seconds(4)).await;
    eventually(seconds(1), || running.status().is_in_sync(), || format!("{:?}", running.status())).await;
    assert_eq!(running.status().load_balancers[1].last_error, None);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_good_is_told_and_not_repeated_but_the_next_state_is_tried_at_once() {
    let world = World::new(workers(2));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    world.agents[0].inner().faults.push_back(Fault::RollsBack(failure(ErrorClass::Permanent)));
    world.cluster.apply(worker("w3", "10.0.0.3"));
    sleep(seconds(1)).await;
    let pushes = world.agents[0].inner().pushes;
    sleep(seconds(50)).await;
    assert_eq!(world.agents[0].inner().pushes, pushes);
    let error = running.status().load_balancers[0].last_error.clone().expect("an error");
    assert!(error.message.contains("validate failed: no such directive") && error.message.contains("cure: fix it"));
    world.cluster.apply(worker("w4", "10.0.0.4"));
    world.until_live(&["w1", "w2", "w3", "w4"], seconds(1)).await;
    running.stop().await.unwrap();
}
