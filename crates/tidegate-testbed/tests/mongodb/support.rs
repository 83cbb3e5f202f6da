//! Databases of their own: on the user's server when there is one, else on one of ours that the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::Client;
use mongodb::bson::Document;
use tidegate_core::ids::ClusterName;
use tidegate_store::conformance::Database;
use tidegate_store::{MongoSettings, MongoStore, MongoTimeouts, StoreError, Transfer};
use tidegate_testbed::servers::MongoServer;

/// The user's own server.
const USER_SERVER: &str = "TIDEGATE_TEST_MONGODB_URI";

pub fn cluster() -> ClusterName {
    ClusterName::parse("prod").unwrap()
}

pub fn settings(uri: &str, database: &str, cluster: &ClusterName) -> MongoSettings {
    MongoSettings {
        uri: uri.to_owned(),
        origin: "/etc/tidegate/mongodb.uri".to_owned(),
        database: database.to_owned(),
        cluster: cluster.clone(),
        timeouts: MongoTimeouts::default(),
    }
}

/// For tests that wait until a timeout has passed.
pub fn impatient(uri: &str, database: &str) -> MongoStore {
    let short = Duration::from_millis;
    let timeouts = MongoTimeouts { selection: short(700), connect: short(700), operation: short(1_000) };
    MongoStore::connect(MongoSettings { timeouts, ..settings(uri, database, &cluster()) }).unwrap()
}

/// One database, which is dropped at the end.
pub struct MongoDatabase {
    pub uri: String,
    pub name: String,
}

impl MongoDatabase {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidegate_test_{}_{number}", std::process::id());
        Self { uri: server_uri(), name }
    }

    pub fn store(&self) -> MongoStore {
        MongoStore::connect(settings(&self.uri, &self.name, &cluster())).unwrap()
    }

    /// As a person's tool sees it.
    pub async fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        Client::with_uri_str(&self.uri).await.unwrap().database(&self.name).collection(name)
    }
}

#[async_trait]
impl Database for MongoDatabase {
    async fn open(&self, cluster: &ClusterName) -> Result<Arc<dyn Transfer>, StoreError> {
        Ok(Arc::new(MongoStore::connect(settings(&self.uri, &self.name, cluster))?))
    }
}

impl Drop for MongoDatabase {
    fn drop(&mut self) {
        let (uri, name) = (self.uri.clone(), self.name.clone());
        let dropping = elsewhere(async move { Client::with_uri_str(&uri).await?.database(&name).drop().await });
        assert!(dropping.is_ok() || std::thread::panicking(), "the database stays: {dropping:?}");
    }
}

/// Ours is started by a thread that stays, because a child dies with the thread that has started it.
fn server_uri() -> String {
    static SERVER: std::sync::OnceLock<(String, Option<MongoServer>)> = std::sync::OnceLock::new();
    let start = || {
        if let Some(uri) = std::env::var(USER_SERVER).ok().filter(|uri| !uri.is_empty()) {
            return (uri, None);
        }
        let server = elsewhere(MongoServer::start()).unwrap();
        (server.uri(), Some(server))
    };
    SERVER.get_or_init(start).0.clone()
}

/// Runs to its end on a runtime of its own, wherever the caller is.
fn elsewhere<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let worker =
            scope.spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work));
        worker.join().unwrap()
    })
}
