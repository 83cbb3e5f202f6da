//! A server that crashes, hangs or is not there: what was acknowledged is there, and a repetition finds out the rest.

use std::time::Duration;

use tidegate_core::class::ErrorClass;
use tidegate_core::log::{LogEntry, LogState};
use tidegate_store::conformance::scenario::{Random, Scenario};
use tidegate_store::{MongoStore, Store, StoreError, commit};
use tidegate_testbed::deadline;
use tidegate_testbed::servers::MongoServer;

use super::support::{cluster, impatient, settings};

const DEADLINE: Duration = Duration::from_secs(60);

/// As a leader does: the very same entry, until it is certain.
async fn commit_until_certain(store: &MongoStore, entry: &LogEntry) -> u32 {
    let mut failures = 0;
    let certain = async {
        while let Err(error) = commit(store, entry).await {
            assert_eq!(error.class(), ErrorClass::Transient, "{error}");
            failures += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, certain).await.unwrap();
    failures
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_mid_commit_each_entry_is_there_once() {
    let server = MongoServer::start().await.unwrap();
    let store = impatient(&server.uri(), "kills");
    let mut scenario = Scenario::new(1);
    // A FerretDB that is killed while it makes a database does not start again: that is its own affair.
    scenario.commit(&store, 1).await.unwrap();
    let mut random = Random::new(1, tidegate_core::position::Revision(1));
    let mut failures = 0;
    for _ in 0..8 {
        let entries: Vec<_> = (0..30).map(|_| scenario.advance()).collect();
        let writer = store.clone();
        let writing = tokio::spawn(async move {
            let mut failures = 0;
            for entry in &entries {
                failures += commit_until_certain(&writer, entry).await;
            }
            failures
        });
        // Not to wait for anything: the moment of the kill is what is random.
        tokio::time::sleep(Duration::from_millis(random.below(40))).await;
        server.kill9().unwrap();
        server.restart().await.unwrap();
        failures += writing.await.unwrap();
        assert_eq!(store.load().await.unwrap(), *scenario.state());
    }
    assert!(failures > 0, "some commits were hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_for_longer_than_the_timeout_it_goes_on_afterwards() {
    let server = MongoServer::start().await.unwrap();
    let store = impatient(&server.uri(), "pauses");
    let mut scenario = Scenario::new(2);
    scenario.commit(&store, 3).await.unwrap();
    server.pause().unwrap();
    let entry = scenario.advance();
    for _ in 0..2 {
        let error = commit(&store, &entry).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable { detail, .. } if detail.contains("cure: ")), "{error}");
    }
    server.resume().unwrap();
    commit_until_certain(&store, &entry).await;
    assert_eq!(store.load().await.unwrap(), *scenario.state());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_an_error_that_passes() {
    let server = MongoServer::start().await.unwrap();
    server.kill9().unwrap();
    let store = impatient(&server.uri(), "later");
    let error = store.load().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    let text = error.to_string();
    assert!(text.contains(&server.address().to_string()) && text.contains("/etc/tidegate/mongodb.uri"), "{text}");
    server.restart().await.unwrap();
    let loaded = deadline::until("the store answers", DEADLINE, || async { store.load().await.ok() }).await.unwrap();
    assert_eq!(loaded, LogState::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_does_not_fail_the_start() {
    let settings = settings("mongodb+srv://tg:s3cret@tidegate.invalid/", "tidegate", &cluster());
    let store = MongoStore::connect(settings).unwrap();
    let error = store.load().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}
