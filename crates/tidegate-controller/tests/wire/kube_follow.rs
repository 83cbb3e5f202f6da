//! Pods that listeners follow, against an API server that fails on demand.

use std::time::Duration;

use tidegate_controller::{ApiFailure, FollowEvent, FollowSource, KubeFollowSource};
use tidegate_core::follow::{Follow, Instance, InstanceState, Target};
use tidegate_core::selector::Selector;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use crate::kube_server::{KubeServer, Streaming, pod};
use crate::world::{eventually, seconds};

fn follow(server: &KubeServer, resync: Duration) -> Receiver<FollowEvent> {
    let target = Target::Pods(Selector::parse("app=ingress").unwrap());
    KubeFollowSource::new(server.client()).follow(&Follow { namespace: "ingress".into(), target }, resync)
}

async fn next(events: &mut Receiver<FollowEvent>) -> FollowEvent {
    timeout(seconds(10), events.recv()).await.expect("an event within 10 s").expect("it goes on")
}

/// The pods of the next LIST.
async fn next_listed(events: &mut Receiver<FollowEvent>) -> Vec<String> {
    match next(events).await {
        FollowEvent::Listed { objects, .. } => objects.into_keys().collect(),
        other => panic!("{other:?} instead of a LIST"),
    }
}

fn state(instances: &[Instance]) -> Vec<(&str, InstanceState)> {
    instances.iter().map(|i| (i.node.as_str(), i.state)).collect()
}

#[tokio::test]
async fn a_list_is_followed_by_what_came_after_it() {
    let server = KubeServer::start(Streaming::Works).await;
    server.apply(pod("w1", true));
    let mut events = follow(&server, seconds(60));
    assert_eq!(next_listed(&mut events).await, ["p-w1"]);
    assert_eq!(next(&mut events).await, FollowEvent::Watching);
    let watch = server.inner().watches[0].clone();
    assert_eq!((watch["resourceVersion"].as_str(), watch["labelSelector"].as_str()), ("11", "app=ingress"));
    server.apply(pod("w1", false));
    let FollowEvent::Applied { object, instances } = next(&mut events).await else { panic!("not applied") };
    assert_eq!((object.as_str(), state(&instances)), ("p-w1", vec![("w1", InstanceState::NotReady)]));
    server.delete("p-w1");
    assert_eq!(next(&mut events).await, FollowEvent::Deleted { object: "p-w1".into() });
    // A watch that ends goes on where it was.
    server.cut_watches();
    assert_eq!(next(&mut events).await, FollowEvent::Watching);
    let inner = server.inner();
    assert_eq!((inner.watches[1]["resourceVersion"].as_str(), inner.lists.len()), ("13", 1));
}

#[tokio::test]
async fn after_410_and_at_each_resync_everything_is_listed_anew() {
    let server = KubeServer::start(Streaming::Works).await;
    server.apply(pod("w1", true));
    let mut events = follow(&server, seconds(2));
    next_listed(&mut events).await;
    assert_eq!(next(&mut events).await, FollowEvent::Watching);
    server.say_gone();
    assert_eq!(next_listed(&mut events).await, ["p-w1"]);
    assert_eq!(next(&mut events).await, FollowEvent::Watching);
    assert_eq!(next_listed(&mut events).await, ["p-w1"], "the resync");
}

#[tokio::test]
async fn a_watch_that_is_forbidden_is_told_and_not_hammered() {
    let server = KubeServer::start(Streaming::Works).await;
    server.inner().refuses_watches = Some(403);
    let mut events = follow(&server, seconds(60));
    next_listed(&mut events).await;
    let FollowEvent::Failed(cause) = next(&mut events).await else { panic!("not told") };
    assert!(matches!(cause, ApiFailure::Answered { code: 403, .. }) && cause.to_string().contains("rbac-follow.yaml"));
    sleep(seconds(2)).await;
    let lists = server.inner().lists.len();
    assert!(lists <= 8, "{lists} LISTs in 2 s");
    server.inner().refuses_watches = None;
    let told = async { while next(&mut events).await != FollowEvent::Watching {} };
    timeout(seconds(10), told).await.expect("it goes on when it may");
}

#[tokio::test]
async fn nobody_who_listens_is_the_end() {
    let server = KubeServer::start(Streaming::Works).await;
    let mut events = follow(&server, seconds(1));
    next_listed(&mut events).await;
    drop(events);
    sleep(Duration::from_millis(100)).await;
    let before = server.inner().lists.len();
    sleep(seconds(2)).await;
    let ended = || server.inner().lists.len() == before;
    eventually(seconds(1), ended, || "it still lists".into()).await;
}
