//! Collection `revisions`: the log itself.

use std::sync::atomic::Ordering;

use mongodb::bson::doc;
use tidegate_core::log::LogEntry;
use tidegate_core::position::{Position, Revision};

use super::connection::{Database, Failure, all};
use super::documents;
use super::failure::is_duplicate;
use crate::StoreError;
use crate::replay::{Voucher, check_next};

impl Database {
    /// Inserts the next entry: one document, on the disks of a majority when this returns.
    ///
    /// What it follows is looked up by key, unless this process has just seen it. Nothing can come between, as an entry
    /// is never changed and the start of the log is forgotten from its beginning: an entry whose predecessor is there was
    /// not forgotten itself.
    pub(super) async fn append(&self, entry: &LogEntry) -> Result<(), Failure> {
        if !self.complete.load(Ordering::Relaxed) {
            self.refuse_incomplete().await?;
        }
        check_next(self.predecessor(entry).await?, entry)?;
        match self.revisions.insert_one(documents::of_entry(&self.place, entry)?).await {
            Err(error) if is_duplicate(&error) => Err(StoreError::Taken { revision: entry.revision }.into()),
            outcome => {
                outcome?;
                // No migration begins on a log that has an entry: one question less for the next commit.
                self.complete.store(true, Ordering::Relaxed);
                self.saw(entry.position());
                Ok(())
            }
        }
    }

    /// Where the log has arrived, as far as this entry needs to know.
    async fn predecessor(&self, entry: &LogEntry) -> Result<Position, Failure> {
        let before = Revision(entry.revision.0.saturating_sub(1));
        if let Some(position) = self.seen().filter(|position| position.revision == before) {
            return Ok(position);
        }
        let predecessor = if before == Revision(0) { None } else { self.entry(before).await? };
        match predecessor {
            Some(entry) => Ok(entry.position()),
            None => Ok(self.newest().await?.map(|entry| entry.position()).unwrap_or_default()),
        }
    }

    /// One entry.
    pub(super) async fn entry(&self, revision: Revision) -> Result<Option<LogEntry>, Failure> {
        let found = self.revisions.find_one(doc! { "_id": documents::key(&self.place, revision) }).await?;
        Ok(found.map(|document| documents::entry(&self.place, document)).transpose()?)
    }

    /// What one entry says about the state after it, which may be far less than what it changes.
    pub(super) async fn voucher(&self, revision: Revision) -> Result<Option<Voucher>, Failure> {
        let id = documents::key(&self.place, revision);
        let found = self.revisions.find_one(doc! { "_id": &id }).projection(doc! { "term": 1, "stateHash": 1 });
        let voucher = found.await?.map(mongodb::bson::deserialize_from_document).transpose();
        Ok(voucher.map_err(|error| self.place.corrupt("revisions", &id, error))?)
    }

    /// The newest entry.
    pub(super) async fn newest(&self) -> Result<Option<LogEntry>, Failure> {
        let found = self.revisions.find_one(documents::everything(&self.place)).sort(doc! { "_id": -1 }).await?;
        Ok(found.map(|document| documents::entry(&self.place, document)).transpose()?)
    }

    /// Up to `size` entries below a revision, newest first.
    pub(super) async fn page(&self, below: Revision, size: usize) -> Result<Vec<LogEntry>, Failure> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let range = documents::range(&self.place, Revision(0), below);
        let found = all(self.revisions.find(range).sort(doc! { "_id": -1 }).limit(size)).await?;
        Ok(found.into_iter().map(|document| documents::entry(&self.place, document)).collect::<Result<_, _>>()?)
    }

    /// The entries after a revision, oldest first.
    pub(super) async fn entries_after(&self, revision: Revision) -> Result<Vec<LogEntry>, Failure> {
        let range = documents::range(&self.place, revision.next(), Revision(u64::MAX));
        let found = all(self.revisions.find(range).sort(doc! { "_id": 1 })).await?;
        Ok(found.into_iter().map(|document| documents::entry(&self.place, document)).collect::<Result<_, _>>()?)
    }
}
