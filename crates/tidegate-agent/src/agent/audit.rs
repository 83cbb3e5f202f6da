//! Asking the engine what it really serves, and undoing what somebody else changed.

use tidegate_core::protocol::{DriftOutcome, Failure};

use super::worker::Worker;
use crate::engine::Serving;
use crate::file::Found;
use crate::settings::DriftPolicy;

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audit {
    /// The engine serves what is live.
    Right,
    /// It did not answer: the supervision starts an engine that is gone.
    Unanswered,
    /// It served something else.
    Foreign {
        /// What differed.
        how: String,
        /// What became of it.
        outcome: DriftOutcome,
        /// Why it could not be undone.
        failure: Option<Failure>,
    },
}

impl Worker {
    /// Compares what the engine serves with what is live.
    pub async fn audit(&mut self, policy: DriftPolicy) -> Audit {
        let Some(live) = self.live.as_ref().map(|live| live.generation) else { return Audit::Right };
        let how = match self.pipeline.engine.serving().await {
            Serving::Exactly(generation) if generation == live => return Audit::Right,
            Serving::Silent { .. } => return Audit::Unanswered,
            Serving::Exactly(other) => format!("generation {} is served instead of {}", other.short(), live.short()),
            Serving::Differs { how } => how,
        };
        // Whoever changed the file as well is told so; their text is never loaded.
        let file_is_right = matches!(self.pipeline.file.read(), Ok(Found::Ours(found)) if found == live);
        if policy == DriftPolicy::Report || !file_is_right {
            return Audit::Foreign { how, outcome: DriftOutcome::Reported, failure: None };
        }
        let failure = self.load_again(live).await.err();
        let outcome = if failure.is_none() { DriftOutcome::Repaired } else { DriftOutcome::RepairFailed };
        Audit::Foreign { how, outcome, failure }
    }

    async fn load_again(&self, generation: tidegate_core::hash::ContentHash) -> Result<(), Failure> {
        self.pipeline.engine.reload(generation).await?.confirm().await
    }
}
