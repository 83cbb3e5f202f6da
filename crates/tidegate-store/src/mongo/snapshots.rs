//! Collection `snapshots`, and what it is for: a short way to load, and leave to forget.

use jiff::Timestamp;
use mongodb::bson::doc;
use tidegate_core::log::{LogState, Snapshot};
use tidegate_core::position::Revision;

use super::connection::{Database, Failure, all};
use super::documents;
use crate::replay::{LOG_CURE, PruneRule, Voucher, replay, settle, snapshot_problem};
use crate::{Retention, StoreError};

/// The newest one is for loading, the others for the day when it turns out to be unreadable.
const SNAPSHOTS_KEPT: usize = 3;

/// How often a load starts again because the log was pruned under it.
const ATTEMPTS: usize = 3;

/// An operation's name in errors.
const PRUNE: &str = "prune the log";

/// The newest snapshot that agrees with the log, what was wrong with a newer one, and where the newest was taken.
#[derive(Default)]
struct Sound {
    snapshot: Option<Snapshot>,
    skipped: Option<StoreError>,
    newest: Revision,
}

impl Database {
    /// The state that the log adds up to.
    pub(super) async fn load(&self) -> Result<LogState, Failure> {
        self.check_schema().await?;
        self.refuse_incomplete().await?;
        if let Some(state) = self.load_at_once().await? {
            self.saw(state.position);
            return Ok(state);
        }
        let mut attempt = 1;
        loop {
            let sound = self.newest_sound().await?;
            let used = sound.newest;
            match self.load_from(sound).await {
                // Between two questions a newer snapshot was written and what came before it forgotten.
                Err(Failure::Answer(_)) if attempt < ATTEMPTS && self.newest_snapshot().await? > used => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// The state, in two questions, when the newest snapshot is sound and the log adds up after it. Whatever is wrong is
    /// for the long way to find out.
    async fn load_at_once(&self) -> Result<Option<LogState>, Failure> {
        let newest = self.snapshots.find_one(documents::everything(&self.place)).sort(doc! { "_id": -1 }).await?;
        let Some(Ok(snapshot)) = newest.map(|document| documents::snapshot(&self.place, &document)) else {
            return Ok(None);
        };
        let before = Revision(snapshot.position.revision.0.saturating_sub(1));
        let Ok(entries) = self.entries_after(before).await else { return Ok(None) };
        let mut entries = entries.into_iter();
        let voucher = entries.next().filter(|entry| entry.revision == snapshot.position.revision);
        if snapshot_problem(&snapshot, voucher.as_ref().map(Voucher::from)).is_some() {
            return Ok(None);
        }
        Ok(replay(LogState::from_snapshot(snapshot), entries.map(Ok::<_, StoreError>)).ok())
    }

    async fn load_from(&self, sound: Sound) -> Result<LogState, Failure> {
        let base = sound.snapshot.map_or_else(LogState::default, LogState::from_snapshot);
        let entries = self.entries_after(base.position.revision).await?;
        let loaded = replay(base, entries.into_iter().map(Ok::<_, StoreError>));
        let state = settle(loaded, sound.skipped)?;
        if state.position.revision < sound.newest {
            let id = documents::key(&self.place, sound.newest);
            let detail = format!("the log had reached it, what is left ends at {}; {LOG_CURE}", state.position);
            return Err(self.place.corrupt("snapshots", id, detail).into());
        }
        Ok(state)
    }

    /// Records a state that the log agrees with; a second time replaces the first.
    pub(super) async fn write_snapshot(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        if let Some(problem) = snapshot_problem(snapshot, self.voucher(snapshot.position.revision).await?) {
            return Err(self.unsound(snapshot, problem).into());
        }
        self.put_snapshot(snapshot).await
    }

    /// One snapshot, whatever the log says.
    pub(super) async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let document = documents::of_snapshot(&self.place, snapshot)?;
        let id = doc! { "_id": documents::key(&self.place, snapshot.position.revision) };
        self.snapshots.replace_one(id, document).upsert(true).await?;
        Ok(())
    }

    /// All snapshots that agree with the log, oldest first.
    pub(super) async fn sound_snapshots(&self) -> Result<Vec<Snapshot>, Failure> {
        let mut sound = Vec::new();
        for revision in self.snapshot_revisions().await?.into_iter().rev() {
            match self.sound(revision).await {
                Ok(snapshot) => sound.extend(snapshot),
                Err(Failure::Answer(error)) => tracing::warn!(%error, "a snapshot was left out"),
                Err(failure) => return Err(failure),
            }
        }
        Ok(sound)
    }

    /// Forgets the start of the log, as far as the retention and the newest sound snapshot allow.
    ///
    /// One by one from the beginning: a revision whose predecessor is left must not look as if it were free.
    pub(super) async fn prune(&self, retention: Retention, now: Timestamp) -> Result<u64, StoreError> {
        let Some((rule, sound)) = self.within(PRUNE, self.prune_rule(retention, now)).await? else { return Ok(0) };
        let mut forgotten = 0;
        for revision in self.within(PRUNE, self.to_forget(&rule)).await? {
            let id = doc! { "_id": documents::key(&self.place, revision) };
            let delete = async { Ok(self.revisions.delete_one(id).await?) };
            forgotten += self.within(PRUNE, delete).await?.deleted_count;
        }
        self.within(PRUNE, self.forget_snapshots(sound)).await?;
        Ok(forgotten)
    }

    async fn prune_rule(&self, retention: Retention, now: Timestamp) -> Result<Option<(PruneRule, Revision)>, Failure> {
        let Some(snapshot) = self.newest_sound().await?.snapshot else { return Ok(None) };
        let sound = snapshot.position.revision;
        let newest = self.newest().await?.map_or(sound, |entry| entry.revision);
        Ok(Some((PruneRule::new(retention, now, sound, newest), sound)))
    }

    async fn to_forget(&self, rule: &PruneRule) -> Result<Vec<Revision>, Failure> {
        let found = self.revisions.find(documents::everything(&self.place)).sort(doc! { "_id": 1 });
        let mut revisions = Vec::new();
        for document in all(found.projection(doc! { "_id": 1, "at": 1 })).await? {
            let revision = documents::revision(&self.place, "revisions", &document)?;
            let at = document.get_str("at").unwrap_or_default().parse();
            let id = documents::key(&self.place, revision);
            let at = at.map_err(|error| self.place.corrupt("revisions", id, format!("at: {error}")))?;
            if !rule.allows(revision, at) {
                break;
            }
            revisions.push(revision);
        }
        Ok(revisions)
    }

    async fn forget_snapshots(&self, sound: Revision) -> Result<(), Failure> {
        for revision in self.snapshot_revisions().await?.into_iter().skip(SNAPSHOTS_KEPT) {
            if revision < sound {
                self.snapshots.delete_one(doc! { "_id": documents::key(&self.place, revision) }).await?;
            }
        }
        Ok(())
    }

    async fn newest_sound(&self) -> Result<Sound, Failure> {
        let mut sound = Sound::default();
        for revision in self.snapshot_revisions().await? {
            sound.newest = sound.newest.max(revision);
            match self.sound(revision).await {
                Ok(None) => {}
                Ok(snapshot) => {
                    sound.snapshot = snapshot;
                    break;
                }
                Err(Failure::Answer(error)) => sound.skipped = sound.skipped.or(Some(error)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(sound)
    }

    async fn newest_snapshot(&self) -> Result<Revision, Failure> {
        Ok(self.snapshot_revisions().await?.first().copied().unwrap_or_default())
    }

    /// Of which revisions there are snapshots, newest first.
    async fn snapshot_revisions(&self) -> Result<Vec<Revision>, Failure> {
        let found = self.snapshots.find(documents::everything(&self.place)).sort(doc! { "_id": -1 });
        let found = all(found.projection(doc! { "_id": 1 })).await?;
        let revisions = found.iter().map(|document| documents::revision(&self.place, "snapshots", document));
        Ok(revisions.collect::<Result<_, _>>()?)
    }

    /// The snapshot of this revision, if the log vouches for it; none when it is gone meanwhile.
    async fn sound(&self, revision: Revision) -> Result<Option<Snapshot>, Failure> {
        let id = doc! { "_id": documents::key(&self.place, revision) };
        let Some(document) = self.snapshots.find_one(id).await? else { return Ok(None) };
        let snapshot = documents::snapshot(&self.place, &document)?;
        match snapshot_problem(&snapshot, self.voucher(revision).await?) {
            Some(problem) => Err(self.unsound(&snapshot, problem).into()),
            None => Ok(Some(snapshot)),
        }
    }

    fn unsound(&self, snapshot: &Snapshot, problem: String) -> StoreError {
        self.place.corrupt("snapshots", documents::key(&self.place, snapshot.position.revision), problem)
    }
}
