//! Collection `clusters`: whose log it is, in which version, and whether all of it is there.

use mongodb::bson::{Bson, Document, doc};
use tidegate_core::log::LogEntry;

use super::connection::{Database, Failure};
use super::documents;
use super::failure::is_duplicate;
use crate::identity::check_claim;
use crate::{ImportStep, StoreError};

/// The version of the documents that this program reads and writes.
const SCHEMA: u32 = 1;

impl Database {
    /// Refuses what a later version has written. A log without a document here is of the first version.
    pub(super) async fn check_schema(&self) -> Result<(), Failure> {
        let found = self.described().await?.and_then(|document| number(&document, "schema")).unwrap_or(SCHEMA);
        if found > SCHEMA { Err(StoreError::NewerSchema { found, supported: SCHEMA }.into()) } else { Ok(()) }
    }

    /// Refuses a log of which a migration has written only a part.
    pub(super) async fn refuse_incomplete(&self) -> Result<(), Failure> {
        if self.described().await?.is_some_and(|document| is_incomplete(&document)) {
            let (cluster, place) = (self.place.cluster.clone(), self.place.server());
            return Err(StoreError::Incomplete { place, cluster }.into());
        }
        Ok(())
    }

    /// The uid that has claimed the log.
    pub(super) async fn identity(&self) -> Result<Option<String>, Failure> {
        Ok(self.described().await?.and_then(|document| uid(&document)))
    }

    /// Gives the log to the cluster of this uid, unless another one has it.
    pub(super) async fn claim(&self, offered: &str) -> Result<(), Failure> {
        self.refuse_incomplete().await?;
        if !self.is_unclaimed(offered).await? {
            return Ok(());
        }
        // Only what is without a uid gets one. Where there is no such document, the unique key decides who inserts it;
        // the loser reads what was written.
        let free = doc! { "_id": self.id(), "uid": null };
        let claimed = self.clusters.update_one(free, doc! { "$set": { "uid": offered, "schema": SCHEMA } }).await?;
        if claimed.matched_count == 0 {
            let new = doc! { "_id": self.id(), "schema": SCHEMA, "uid": offered };
            match self.clusters.insert_one(new).await {
                Err(error) if !is_duplicate(&error) => return Err(error.into()),
                _ => {}
            }
        }
        self.is_unclaimed(offered).await.map(drop)
    }

    /// One step of an import.
    pub(super) async fn import(&self, step: &ImportStep) -> Result<(), Failure> {
        match step {
            ImportStep::Begin => self.begin_import().await,
            ImportStep::Entries(entries) => self.import_entries(entries).await,
            ImportStep::Snapshot(snapshot) => self.put_snapshot(snapshot).await,
            ImportStep::End { identity } => {
                let done = doc! { "_id": self.id(), "schema": SCHEMA, "uid": identity.clone() };
                self.clusters.replace_one(doc! { "_id": self.id() }, done).upsert(true).await?;
                Ok(())
            }
        }
    }

    async fn begin_import(&self) -> Result<(), Failure> {
        let described = self.described().await?;
        let resumed = described.as_ref().is_some_and(is_incomplete);
        if !resumed && self.is_occupied(described.as_ref()).await? {
            let (cluster, place) = (self.place.cluster.clone(), self.place.server());
            return Err(StoreError::Occupied { place, cluster }.into());
        }
        // The mark comes first: whatever is there afterwards is a part.
        let mark = doc! { "_id": self.id(), "schema": SCHEMA, "incomplete": true };
        self.clusters.replace_one(doc! { "_id": self.id() }, mark).upsert(true).await?;
        let everything = documents::everything(&self.place);
        self.revisions.delete_many(everything.clone()).await?;
        self.snapshots.delete_many(everything).await?;
        self.nodes.delete_many(doc! { "cluster": self.id() }).await?;
        Ok(())
    }

    async fn is_occupied(&self, described: Option<&Document>) -> Result<bool, Failure> {
        let claimed = described.and_then(uid).is_some();
        let everything = documents::everything(&self.place);
        Ok(claimed
            || self.newest().await?.is_some()
            || self.snapshots.find_one(everything).projection(doc! { "_id": 1 }).await?.is_some())
    }

    async fn import_entries(&self, entries: &[LogEntry]) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let new: Vec<_> =
            entries.iter().map(|entry| documents::of_entry(&self.place, entry)).collect::<Result<_, _>>()?;
        match self.revisions.insert_many(new).ordered(false).await {
            // Written by an earlier attempt at this step; all of it is compared at the end.
            Err(error) if is_duplicate(&error) => Ok(()),
            outcome => Ok(outcome.map(drop)?),
        }
    }

    async fn is_unclaimed(&self, offered: &str) -> Result<bool, Failure> {
        let recorded = self.identity().await?;
        Ok(check_claim(&self.place.cluster, recorded.as_deref(), offered)?)
    }

    async fn described(&self) -> Result<Option<Document>, Failure> {
        Ok(self.clusters.find_one(doc! { "_id": self.id() }).await?)
    }

    fn id(&self) -> &str {
        self.place.cluster.as_str()
    }
}

fn uid(document: &Document) -> Option<String> {
    document.get_str("uid").ok().map(str::to_owned)
}

fn is_incomplete(document: &Document) -> bool {
    document.get_bool("incomplete").unwrap_or(false)
}

/// A number of whichever type a person's tool has given it.
fn number(document: &Document, field: &str) -> Option<u32> {
    match document.get(field)? {
        Bson::Int32(number) => u32::try_from(*number).ok(),
        Bson::Int64(number) => u32::try_from(*number).ok(),
        Bson::Double(number) => format!("{number:.0}").parse().ok(),
        _ => None,
    }
}
