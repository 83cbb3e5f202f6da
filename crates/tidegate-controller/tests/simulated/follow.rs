//! What listeners follow, between a fake API server and the load balancers: the pods of the ingress.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_core::carriage::Demand;
use tidegate_core::desired::Listener;
use tidegate_core::follow::{Follow, InstanceState, Target};
use tidegate_core::guard::Guard;
use tidegate_core::ids::ListenerName;
use tidegate_core::selector::Selector;
use tokio::time::sleep;

use crate::world::{World, eventually, seconds, workers};

/// A cluster whose one listener follows its pods, one Ready on each node.
fn followed(nodes: u8) -> World {
    let mut world = World::new(workers(nodes));
    let target = Target::Pods(Selector::parse("app=ingress").unwrap());
    let follow = Some(Follow { namespace: "ingress".into(), target });
    let listener = ListenerName::parse("http").unwrap();
    world.settings.policy.demands = vec![Demand { listener, allow_empty: false, nodes: None, follow }];
    for n in 1..=nodes {
        world.pods.set(&format!("w{n}"), InstanceState::Ready);
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_takes_each_node_out_before_its_pod_ends_and_back_when_it_is_ready() {
    let world = followed(3);
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    for (node, rest) in [("w1", ["~w1", "w2", "w3"]), ("w2", ["w1", "~w2", "w3"]), ("w3", ["w1", "w2", "~w3"])] {
        world.pods.set(node, InstanceState::Ending);
        world.until_live(&rest, Duration::from_millis(100)).await;
        world.pods.remove(node);
        sleep(seconds(5)).await;
        world.pods.set(node, InstanceState::Ready);
        world.until_live(&["w1", "w2", "w3"], Duration::from_millis(100)).await;
    }
    assert_eq!(running.status().follows[0].ready_nodes, 3);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_list_pods_members_stay_and_the_status_says_so() {
    let world = followed(2);
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    running.stop().await.unwrap();

    // Somebody took the right away; the controller restarts.
    world.pods.pods().down = true;
    world.cluster.apply(crate::world::worker("w3", "10.0.0.3"));
    let running = world.start();
    sleep(seconds(30)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2"], "who is new waits");
    let status = running.status();
    let problem = status.follows[0].problem.as_deref().unwrap_or_default();
    assert!(problem.contains("pods is forbidden") && problem.contains("rbac-follow.yaml"), "{problem}");
    assert!(!status.is_in_sync());
    assert_eq!(status.nodes[2].listeners[0].reason, "pods app=ingress in namespace ingress: not listed yet");

    world.pods.pods().down = false;
    world.pods.set("w3", InstanceState::Ready);
    world.until_live(&["w1", "w2", "w3"], seconds(61)).await;
    assert_eq!(running.status().follows[0].problem, None);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_ingress_that_runs_nowhere_keeps_no_other_listener_from_being_served() {
    let mut world = followed(2);
    // The other one, which asks nothing, comes first.
    let other = ListenerName::parse("api").unwrap();
    let (bind, port) = (SocketAddr::from(([0, 0, 0, 0], 6443)), 6443);
    world.settings.listeners.push(Listener::tcp(other, bind, port));
    (1..=2).for_each(|n| world.pods.remove(&format!("w{n}")));
    let running = world.start();
    world.until_live(&["w1", "w2"], seconds(1)).await;
    let said = || running.status().guards.first().map(|guard| (guard.guard, guard.reason.clone()));
    let (guard, reason) = said().unwrap();
    assert_eq!(guard, Guard::NeverEmpty);
    assert!(reason.starts_with("no node carries listener http: nobody is behind it"), "{reason}");

    world.pods.set("w1", InstanceState::Ready);
    eventually(seconds(1), || said().is_none(), || format!("{:?}", said())).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_view_of_the_pods_that_grows_old_takes_nobody_out() {
    let world = followed(3);
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    world.pods.pods().down = true;
    sleep(seconds(95)).await;
    let problem = running.status().follows[0].problem.clone().unwrap_or_default();
    assert!(problem.contains("pods is forbidden"), "{problem}");
    // What is heard of it all the same is not believed.
    world.pods.pods().down = false;
    world.pods.set("w1", InstanceState::NotReady);
    let held = || running.status().guards.iter().any(|guard| guard.guard == Guard::Fresh);
    eventually(seconds(1), held, || format!("{:?}", running.status().guards)).await;
    assert_eq!(world.agents[0].live_nodes(), ["w1", "w2", "w3"]);
    // Until a LIST agrees.
    world.until_live(&["~w1", "w2", "w3"], seconds(61)).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ten_quiet_minutes_with_pods_are_no_write() {
    let world = followed(3);
    let running = world.start();
    world.until_live(&["w1", "w2", "w3"], seconds(1)).await;
    let position = running.status().desired;
    sleep(seconds(600)).await;
    assert_eq!(running.status().desired, position);
    assert_eq!(world.pods.pods().watches, 1);
    running.stop().await.unwrap();
}
