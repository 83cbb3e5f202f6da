//! The note of what is being applied, made beside the apply.

use tokio::task::{JoinHandle, spawn_blocking};

use super::{SnapshotError, Snapshots};
use crate::agent::Content;
use crate::pipeline::{blocking, joined};

type Work = JoinHandle<Result<(), SnapshotError>>;

/// A candidate on its way to the disk: written before anything is touched, and brought to the disk while the engine is
/// told, together with the live file's new name.
#[derive(Debug)]
pub struct Note {
    snapshots: Snapshots,
    content: Content,
    writing: Option<Work>,
    syncing: Option<Work>,
    is_written: bool,
}

impl Note {
    /// Begins to write it.
    pub fn begin(snapshots: &Snapshots, content: &Content) -> Self {
        let (to, noted) = (snapshots.clone(), content.clone());
        let writing = spawn_blocking(move || to.note_candidate(&noted));
        let (snapshots, content) = (snapshots.clone(), content.clone());
        Self { snapshots, content, writing: Some(writing), syncing: None, is_written: false }
    }

    /// Waits until it is written. Without it a killed agent may restart with an older state: no reason not to serve the
    /// newer one.
    pub async fn written(&mut self) {
        let Some(writing) = self.writing.take() else { return };
        match joined(writing).await {
            Ok(()) => self.is_written = true,
            Err(error) => tracing::warn!(%error, "going on without a note of the candidate"),
        }
    }

    /// Begins to bring it to the disk; whether that succeeds counts when it is promoted.
    pub fn sync(&mut self) {
        let snapshots = self.snapshots.clone();
        self.syncing = self.is_written.then(|| spawn_blocking(move || snapshots.sync_candidate()));
    }

    /// Makes what was noted, and verified since, the last-known-good state, durably.
    pub async fn promote(self) -> Result<(), SnapshotError> {
        let Self { snapshots, content, syncing, .. } = self;
        let is_on_the_disk = match syncing {
            Some(syncing) => joined(syncing).await.is_ok(),
            None => false,
        };
        blocking(move || if is_on_the_disk { snapshots.promote_candidate() } else { snapshots.promote(&content) }).await
    }
}
