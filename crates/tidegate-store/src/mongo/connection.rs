//! The client, made when it is first needed, and a limit on everything it is asked.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use mongodb::action::Find;
use mongodb::bson::Document;
use mongodb::error::Error;
use mongodb::options::{
    Acknowledgment, ClientOptions, CollectionOptions, ConnectionString, ReadConcern, ReadPreference, SelectionCriteria,
    WriteConcern,
};
use mongodb::{Client, Collection};
use tidegate_core::position::Position;
use tokio::sync::OnceCell;

use super::failure::Place;
use super::settings::{MongoSettings, hosts};
use crate::StoreError;

/// A replica does one or two things at a time; more connections would only be more to keep alive.
const POOL: u32 = 8;

/// No entry is forgotten so soon after it was the newest, as the shortest useful retention is hours.
const SEEN_LATELY: Duration = Duration::from_secs(60);

/// One database of one server or replica set.
pub(super) struct Connection {
    settings: MongoSettings,
    uri: ConnectionString,
    place: Place,
    database: OnceCell<Database>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The collections, and what their errors need to know.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) place: Place,
    pub(super) revisions: Collection<Document>,
    pub(super) snapshots: Collection<Document>,
    pub(super) nodes: Collection<Document>,
    pub(super) clusters: Collection<Document>,
    /// Whether a commit has shown that the log is no half of a migration.
    pub(super) complete: AtomicBool,
    /// The newest entry that this process has written or read, and when.
    seen: Mutex<Option<(Position, Instant)>>,
    /// For one document of an operation that has many.
    pub(super) limit: Duration,
}

impl Connection {
    pub(super) fn new(settings: MongoSettings) -> Result<Self, StoreError> {
        let uri = settings.parse()?;
        let place = Place {
            hosts: hosts(&uri),
            database: settings.database.clone(),
            cluster: settings.cluster.clone(),
            origin: settings.origin.clone(),
        };
        Ok(Self { settings, uri, place, database: OnceCell::new() })
    }

    /// The collections, after a look at the version of what they hold.
    pub(super) async fn database(&self, operation: &'static str) -> Result<&Database, StoreError> {
        let opened = self.database.get_or_try_init(|| self.open());
        let limit = self.settings.timeouts.operation;
        let silent = |_| self.place.silent(operation, limit.as_secs_f32());
        match tokio::time::timeout(limit, opened).await.map_err(silent)? {
            Ok(database) => Ok(database),
            Err(Failure::Answer(error)) => Err(error),
            Err(Failure::Driver(error)) => Err(self.place.explain(operation, &error)),
        }
    }

    async fn open(&self) -> Result<Database, Failure> {
        let client = Client::with_options(self.options().await?)?;
        let database = client.database(&self.settings.database);
        let options = || CollectionOptions::builder().build();
        let collection = |name| database.collection_with_options(name, options());
        let database = Database {
            place: self.place.clone(),
            revisions: collection("revisions"),
            snapshots: collection("snapshots"),
            nodes: collection("nodes"),
            clusters: collection("clusters"),
            complete: AtomicBool::new(false),
            seen: Mutex::new(None),
            limit: self.settings.timeouts.operation,
        };
        database.check_schema().await?;
        Ok(database)
    }

    /// Ours where correctness depends on it, whatever the URI says.
    async fn options(&self) -> Result<ClientOptions, Error> {
        let mut options = ClientOptions::parse(self.uri.clone()).await?;
        let timeouts = self.settings.timeouts;
        options.app_name.get_or_insert_with(|| "tidegate".to_owned());
        options.server_selection_timeout = Some(timeouts.selection);
        options.connect_timeout = Some(timeouts.connect);
        options.max_pool_size.get_or_insert(POOL);
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        options.read_concern = Some(ReadConcern::majority());
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        // A commit whose answer was lost is found out about by reading it back, on every server alike. Retries inside
        // of the driver would need sessions, which not all have.
        options.retry_writes = Some(false);
        options.retry_reads = Some(false);
        Ok(options)
    }
}

impl Database {
    /// Remembers that the log has arrived here.
    pub(super) fn saw(&self, position: Position) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((position, Instant::now()));
    }

    /// Where the log was a moment ago. Later, whoever was paused has to look again: the entry may have been forgotten.
    pub(super) fn seen(&self) -> Option<Position> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(_, when)| when.elapsed() < SEEN_LATELY).map(|(position, _)| position)
    }

    /// Waits for an answer as long as an operation may take. Giving up closes the connection that it used, so that a
    /// late answer is never taken for that of a later question.
    pub(super) async fn within<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.limit, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Failure::Answer(error))) => Err(error),
            Ok(Err(Failure::Driver(error))) => Err(self.place.explain(operation, &error)),
            Err(_) => Err(self.place.silent(operation, self.limit.as_secs_f32())),
        }
    }
}

/// All documents that a query finds.
pub(super) async fn all(found: Find<'_, Document>) -> Result<Vec<Document>, Error> {
    found.await?.try_collect().await
}

/// A failed step of an operation, before it is known which operation it belonged to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The driver or the server failed.
    #[error(transparent)]
    Driver(#[from] Error),
    /// The operation has its answer, and it is no.
    #[error(transparent)]
    Answer(#[from] StoreError),
}
