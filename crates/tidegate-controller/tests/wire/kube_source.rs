//! Watch, LIST and GET against an API server that fails on demand.

use std::time::Duration;

use tidegate_controller::{ApiFailure, KubeNodeSource, NodeSource, Observation, SourceError, WatchEvent};
use tidegate_core::class::ErrorClass;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};

use crate::kube_server::{KubeServer, Streaming, node};
use crate::world::{eventually, name, seconds};

fn source(server: &KubeServer) -> KubeNodeSource {
    KubeNodeSource::new(server.client(), ["role"])
}

async fn next(events: &mut Receiver<Observation>) -> WatchEvent {
    timeout(seconds(10), events.recv()).await.expect("an event within 10 s").expect("the watch goes on").event
}

async fn next_listed(events: &mut Receiver<Observation>) -> Vec<String> {
    match next(events).await {
        WatchEvent::Listed(nodes) => nodes.iter().map(|n| n.name.to_string()).collect(),
        other => panic!("{other:?} instead of a complete set"),
    }
}

#[tokio::test]
async fn a_streaming_list_is_complete_before_anything_is_told_and_then_goes_on() {
    let server = KubeServer::start(Streaming::Works).await;
    server.apply(node("w1", "10.0.0.1"));
    server.apply(node("w2", "10.0.0.2"));
    let mut events = source(&server).watch();
    assert_eq!(next_listed(&mut events).await, ["w1", "w2"]);
    server.apply(node("w3", "10.0.0.3"));
    let WatchEvent::Applied(added) = next(&mut events).await else { panic!("not applied") };
    assert_eq!((added.name.as_str(), added.labels.len()), ("w3", 1), "labels are trimmed to the keys in use");
    server.delete("w1");
    let WatchEvent::Deleted(gone, uid) = next(&mut events).await else { panic!("not deleted") };
    assert_eq!((gone.as_str(), uid.as_str()), ("w1", "u-w1"));
    assert_eq!(server.inner().lists.len(), 0, "no LIST beside the streaming one");
    drop(events);
}

#[tokio::test]
async fn a_server_that_cannot_stream_lists_is_listed_and_watched() {
    let server = KubeServer::start(Streaming::Answers500).await;
    server.apply(node("w1", "10.0.0.1"));
    let mut events = source(&server).watch();
    assert_eq!(next_listed(&mut events).await, ["w1"]);
    eventually(seconds(5), || server.inner().watches.len() == 2, || "no watch after the LIST".into()).await;
    server.apply(node("w2", "10.0.0.2"));
    assert!(matches!(next(&mut events).await, WatchEvent::Applied(n) if n.name == name("w2")));
    assert!(!server.inner().watches[1].contains_key("sendInitialEvents"));
}

#[tokio::test]
async fn a_streaming_list_that_never_ends_is_given_up() {
    let server = KubeServer::start(Streaming::NeverEnds).await;
    server.apply(node("w1", "10.0.0.1"));
    let mut events = source(&server).watch();
    eventually(seconds(5), || server.inner().watches.len() == 1, || "no watch".into()).await;
    assert!(events.try_recv().is_err(), "nothing of an unfinished set is told");
    // Time jumps until it hits the wait for the end of the set, and not one on the way there.
    let told = loop {
        tokio::time::pause();
        tokio::time::advance(seconds(21)).await;
        tokio::time::resume();
        match timeout(seconds(2), events.recv()).await {
            Ok(observation) => break observation.unwrap().event,
            Err(_) => assert!(server.inner().watches.len() < 10, "it never gives up"),
        }
    };
    assert!(matches!(told, WatchEvent::Listed(nodes) if nodes.len() == 1));
    assert_eq!(server.inner().lists.len(), 1);
}

#[tokio::test]
async fn after_410_everything_is_read_anew() {
    let server = KubeServer::start(Streaming::Works).await;
    server.apply(node("w1", "10.0.0.1"));
    let mut events = source(&server).watch();
    assert_eq!(next_listed(&mut events).await, ["w1"]);
    server.say_gone();
    assert_eq!(next_listed(&mut events).await, ["w1"]);
    server.apply(node("w1", "10.0.0.9"));
    assert!(
        matches!(next(&mut events).await, WatchEvent::Applied(n) if n.addresses[0].address.to_string() == "10.0.0.9")
    );
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_where_it_was() {
    let server = KubeServer::start(Streaming::Works).await;
    server.apply(node("w1", "10.0.0.1"));
    let mut events = source(&server).watch();
    next_listed(&mut events).await;
    server.cut_watches();
    eventually(seconds(5), || server.inner().watches.len() == 2, || "it does not come back".into()).await;
    server.apply(node("w2", "10.0.0.2"));
    assert!(matches!(next(&mut events).await, WatchEvent::Applied(n) if n.name == name("w2")));
    assert_eq!(server.inner().watches[1]["resourceVersion"], "11");
}

#[tokio::test]
async fn a_server_that_ends_every_watch_is_not_hammered() {
    for streaming in [Streaming::Works, Streaming::NeverEnds, Streaming::Answers500] {
        let server = KubeServer::start(streaming).await;
        server.inner().ends_watches = true;
        server.apply(node("w1", "10.0.0.1"));
        let events = source(&server).watch();
        let start = Instant::now();
        eventually(seconds(5), || server.inner().watches.len() >= 3, || "it gave up".into()).await;
        while start.elapsed() < seconds(2) {
            sleep(Duration::from_millis(50)).await;
        }
        let watches = server.inner().watches.len();
        assert!(watches <= 10, "{streaming:?}: {watches} watches in 2 s");
        drop(events);
    }
}

#[tokio::test]
async fn a_list_is_consistent_and_comes_in_pages() {
    let server = KubeServer::start(Streaming::Works).await;
    for n in 0..1201 {
        server.apply(node(&format!("n{n}"), "10.0.0.1"));
    }
    server.apply(serde_json::json!({"metadata": {"name": "no-uid"}}));
    let nodes = source(&server).list().await.unwrap();
    assert_eq!(nodes.len(), 1201, "all but the one that is no node");
    let lists = server.inner().lists.clone();
    assert_eq!(lists.len(), 3);
    assert!(lists.iter().all(|query| !query.contains_key("resourceVersion")), "{lists:?}");
}

#[tokio::test]
async fn a_get_tells_absence_from_failure() {
    let server = KubeServer::start(Streaming::Works).await;
    server.apply(node("w1", "10.0.0.1"));
    let source = source(&server);
    assert_eq!(source.get(&name("w1")).await.unwrap().unwrap().uid.as_str(), "u-w1");
    assert_eq!(source.get(&name("w2")).await.unwrap(), None);
    server.apply(serde_json::json!({"metadata": {"name": "no-uid"}}));
    assert!(source.get(&name("no-uid")).await.is_err(), "what exists is not gone");
    // A 404 that does not say NotFound is a proxy's, and no proof that a node is gone.
    let permanent = [403, 404].map(|code| (code, ErrorClass::Permanent));
    for (code, class) in permanent.into_iter().chain([(429, ErrorClass::Transient), (503, ErrorClass::Transient)]) {
        server.inner().answers = Some(code);
        let error = source.get(&name("w1")).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(&format!("reading Node w1: the API server answered {code}")), "{error}");
        assert_eq!(source.list().await.unwrap_err().class(), class);
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_there_is_an_error_in_time() {
    let server = KubeServer::start(Streaming::Works).await;
    let hung = source(&server);
    hung.list().await.unwrap();
    server.inner().hangs = true;
    // The connection stands; only the timer of the call is left to wait for.
    tokio::time::pause();
    let error = hung.list().await.unwrap_err();
    tokio::time::resume();
    assert_eq!(error, SourceError::List { cause: ApiFailure::Timeout { limit: seconds(15) } });

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let nobody = kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
    let error = KubeNodeSource::new(nobody, ["role"]).list().await.unwrap_err();
    assert!(matches!(&error, SourceError::List { cause: ApiFailure::Unreachable { .. } }), "{error}");
    assert!(error.to_string().contains("refused") && error.to_string().contains("cure:"), "{error}");
}
