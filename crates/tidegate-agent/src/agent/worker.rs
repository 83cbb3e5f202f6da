//! The engine's side of the mailbox: decides whether a state needs an apply, and runs it.

mod restart;

use tidegate_core::class::ErrorClass;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::{ApplyReport, Live, Outcome};
use tidegate_core::step::Step;
use tokio::time::Instant;

use super::content::Content;
use super::failures::FailedCandidates;
use super::lock::StateDirLock;
use crate::engine::Pulse;
use crate::pipeline::{Ended, Pipeline, Rendered, Timings};
use crate::snapshot::{Note, SnapshotError, Snapshots};

/// What is verified to be live.
#[derive(Clone, Debug)]
pub struct LiveContent {
    /// What was rendered, and from what.
    pub content: Content,
    /// What the engine answers.
    pub generation: ContentHash,
}

impl LiveContent {
    /// As it is reported.
    pub fn live(&self) -> Live {
        Live { position: self.content.desired.position, hash: self.content.desired.hash }
    }
}

/// Whether a state needs an apply.
pub enum Prepared {
    /// No: this is the answer.
    Answered(ApplyReport),
    /// Yes.
    Ready(Rendered, Timings),
}

/// One apply, done.
pub struct Done {
    /// The answer.
    pub report: ApplyReport,
    /// When the engine was told, if it was.
    pub reloaded_at: Option<Instant>,
}

/// Owns the engine; whoever holds it may change what is live.
pub struct Worker {
    pub(super) pipeline: Pipeline,
    pub(super) snapshots: Snapshots,
    pub(super) live: Option<LiveContent>,
    pub(super) failures: FailedCandidates,
    /// The last trouble with the snapshot; cleared when it is written.
    pub(super) snapshot_error: Option<SnapshotError>,
    /// Held for as long as the agent lives.
    pub(super) _lock: StateDirLock,
}

impl Worker {
    /// Renders and decides; runs no command. `again`: whether a known failure is tried again.
    pub fn prepare(&mut self, content: &Content, again: bool) -> Prepared {
        let mut timings = Timings::default();
        let start = std::time::Instant::now();
        let rendered = Rendered::new(self.pipeline.engine.as_ref(), &content.effective);
        timings.note(Step::Render, start.elapsed());
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(cause) => return Prepared::Answered(self.report(Outcome::RolledBack { cause }, &timings)),
        };
        (self.pipeline.hook)("render:done");
        let generation = rendered.generation();
        if self.serves(generation) {
            // The position must survive a restart, also when the content is the same.
            let written = self.snapshots.promote(content);
            self.record(content, generation, written);
            return Prepared::Answered(self.report(Outcome::Unchanged, &timings));
        }
        match self.failures.get(generation).filter(|_| !again) {
            Some(cause) => {
                let outcome = Outcome::RolledBack { cause: cause.clone() };
                Prepared::Answered(self.report(outcome, &timings))
            }
            None => Prepared::Ready(rendered, timings),
        }
    }

    /// Runs the pipeline.
    pub async fn apply(&mut self, content: &Content, rendered: Rendered, mut timings: Timings) -> Done {
        let generation = rendered.generation();
        let mut note = Note::begin(&self.snapshots, content);
        let Ended { result, reloaded_at } = self.pipeline.run(rendered, &mut note, &mut timings).await;
        let outcome = match result {
            Ok(verified) => {
                self.failures.forget(generation);
                let written = note.promote().await;
                self.record(content, verified.generation(), written);
                Outcome::Applied
            }
            Err(outcome) => {
                self.note_failure(generation, &outcome).await;
                outcome
            }
        };
        Done { report: self.report(outcome, &timings), reloaded_at }
    }

    /// Whether this is live: verified before, and the engine still runs.
    fn serves(&self, generation: ContentHash) -> bool {
        self.live.as_ref().is_some_and(|live| live.generation == generation)
            && matches!(self.pipeline.engine.pulse(), Pulse::Running { .. })
    }

    /// Notes what is live; `written`: whether the snapshot says so too.
    pub(super) fn record(&mut self, content: &Content, generation: ContentHash, written: Result<(), SnapshotError>) {
        self.live = Some(LiveContent { content: content.clone(), generation });
        match written {
            Ok(()) => {
                self.snapshot_error = None;
                (self.pipeline.hook)("snapshot:written");
            }
            Err(error) => {
                tracing::error!(%error, "the live state is not recorded: a restart would begin with an older one");
                self.snapshot_error = Some(error);
            }
        }
    }

    async fn note_failure(&mut self, generation: ContentHash, outcome: &Outcome) {
        if let Outcome::RolledBack { cause } | Outcome::RollbackFailed { cause, .. } = outcome {
            // A file that may not be replaced says nothing about the candidate: its cure is elsewhere.
            if cause.step != Step::Swap || cause.class == ErrorClass::Transient {
                self.failures.note(generation, cause.clone());
            }
        }
        if matches!(outcome, Outcome::RollbackFailed { .. }) {
            let serving = self.pipeline.engine.serving().await;
            self.live.take_if(|live| !serving.is(live.generation));
        }
    }

    fn report(&self, outcome: Outcome, timings: &Timings) -> ApplyReport {
        let live = self.live.as_ref().map(LiveContent::live);
        ApplyReport { outcome, live, timings: timings.steps().to_vec() }
    }
}
