//! The cluster is a real one, and its faults are real ones.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{ListParams, ObjectMeta, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tidegate_testbed::cluster::Etcd;
use tidegate_testbed::{Cluster, ClusterOptions, deadline};

const SOON: Duration = Duration::from_secs(20);

async fn post(client: &Client, name: &str) -> Result<ConfigMap> {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let map = ConfigMap { metadata, ..ConfigMap::default() };
    Ok(Api::default_namespaced(client.clone()).create(&PostParams::default(), &map).await?)
}

#[tokio::test]
async fn the_shared_cluster_serves_and_refuses_an_ordinary_user() {
    let cluster = Cluster::shared().await.unwrap();
    let version = cluster.client().await.unwrap().apiserver_version().await.unwrap();
    assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "36"));
    let nobody = cluster.client_as("nobody", Some("visitors")).await.unwrap();
    let error = Api::<Node>::all(nobody).list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 403), "{error}");
}

#[tokio::test]
async fn a_second_test_gets_the_same_shared_cluster() {
    let first = Cluster::shared().await.unwrap().address();
    assert_eq!(first, Cluster::shared().await.unwrap().address());
    post(&Cluster::shared().await.unwrap().client().await.unwrap(), "second").await.unwrap();
}

#[tokio::test]
async fn pause_hangs_and_a_crash_keeps_the_objects() {
    let cluster = Cluster::start(ClusterOptions::default()).await.unwrap();
    let client = cluster.client().await.unwrap();
    post(&client, "kept").await.unwrap();

    cluster.pause().unwrap();
    let hung = tokio::time::timeout(Duration::from_millis(500), client.apiserver_version()).await;
    assert!(hung.is_err(), "a stopped server answered");
    cluster.resume().unwrap();
    client.apiserver_version().await.unwrap();

    let before = cluster.address();
    cluster.kill9_and_restart().await.unwrap();
    assert_eq!(before, cluster.address());
    Api::<ConfigMap>::default_namespaced(client).get("kept").await.unwrap();

    let started = Instant::now();
    cluster.terminate().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    cluster.start_again().await.unwrap();
}

#[tokio::test]
async fn without_the_watch_cache_a_compaction_makes_a_watch_gone() {
    let options = ClusterOptions { watch_cache: false, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.unwrap();
    let client = cluster.client().await.unwrap();
    let old = post(&client, "first").await.unwrap().metadata.resource_version.unwrap();
    // The newest revision survives a compaction, so one change alone would still be served.
    post(&client, "later").await.unwrap();
    post(&client, "latest").await.unwrap();
    cluster.compact().await.unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let code = deadline::until("a 410", SOON, || async {
        let stream = match maps.watch(&WatchParams::default().timeout(5), &old).await {
            Ok(stream) => stream,
            Err(kube::Error::Api(status)) => return Some(status.code),
            Err(_) => return None,
        };
        match std::pin::pin!(stream).try_next().await {
            Ok(Some(WatchEvent::Error(status))) => Some(status.code),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(code.await.unwrap(), 410);
}

#[tokio::test]
async fn the_old_etcd_cannot_stream_lists() {
    let options = ClusterOptions { etcd: Etcd::Old, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client().await.unwrap());
    maps.list(&ListParams::default()).await.unwrap();
    let streaming = WatchParams::default().initial_events().timeout(5);
    let stream = maps.watch(&streaming, "0").await.unwrap();
    match std::pin::pin!(stream).try_next().await.unwrap() {
        Some(WatchEvent::Error(status)) => assert_eq!(status.code, 500, "{status:?}"),
        other => panic!("{other:?}"),
    }
}
