//! render -> validate -> swap -> reload -> verify, each step's output being the next one's only input.

mod stages;
mod timings;
mod undo;

use std::sync::Arc;

use tidegate_core::protocol::{Failure, Outcome};
use tidegate_core::step::Step;

pub use stages::{Reloaded, Rendered, Swapped, Validated, Verified};
pub use timings::Timings;
pub use undo::{Interrupted, Undo};

use crate::engine::Engine;
use crate::file::LiveFile;
use crate::hook::StepHook;
use crate::snapshot::Note;

/// What the steps work on.
#[derive(Clone)]
pub struct Pipeline {
    /// The load balancer program.
    pub engine: Arc<dyn Engine>,
    /// Its configuration file.
    pub file: LiveFile,
    /// Told of each step.
    pub hook: StepHook,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The verified content, or how it failed.
    pub result: Result<Verified, Outcome>,
    /// When the engine was told, if it was.
    pub reloaded_at: Option<tokio::time::Instant>,
}

impl Pipeline {
    /// Brings a rendered configuration live, or goes back to what was; `note` tells a killed agent which state it was.
    pub async fn run(&self, rendered: Rendered, note: &mut Note, timings: &mut Timings) -> Ended {
        let mut reloaded_at = None;
        let result = match self.attempt(rendered, note, timings, &mut reloaded_at).await {
            Ok(verified) => Ok(verified),
            Err(Interrupted::BeforeSwap(cause)) => Err(Outcome::RolledBack { cause }),
            Err(Interrupted::AfterSwap { cause, undo }) => Err(self.roll_back(cause, undo).await),
        };
        Ended { result, reloaded_at }
    }

    async fn attempt(
        &self,
        rendered: Rendered,
        note: &mut Note,
        timings: &mut Timings,
        reloaded_at: &mut Option<tokio::time::Instant>,
    ) -> Result<Verified, Interrupted> {
        let validated = timings.of(Step::Validate, rendered.validate(self)).await?;
        let swapped = timings.of(Step::Swap, async {
            note.written().await;
            validated.swap(self).await
        });
        let swapped = swapped.await?;
        note.sync();
        *reloaded_at = Some(tokio::time::Instant::now());
        let reloaded = timings.of(Step::Reload, swapped.reload(self)).await?;
        timings.of(Step::Verify, reloaded.verify(self)).await
    }

    async fn roll_back(&self, cause: Failure, undo: Undo) -> Outcome {
        match undo.roll_back(self).await {
            Ok(()) => Outcome::RolledBack { cause },
            Err(rollback_cause) => Outcome::RollbackFailed { cause, rollback_cause },
        }
    }
}

/// Runs blocking file work off the event loop; a panic in it goes on here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

/// Waits for such work that was begun before.
pub(crate) async fn joined<T>(work: tokio::task::JoinHandle<T>) -> T {
    match work.await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
