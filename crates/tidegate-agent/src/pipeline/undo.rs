//! Going back to what was live, and proving that it is.

use tidegate_core::protocol::Failure;

use super::{Pipeline, blocking};
use crate::file::{FileError, Previous};

/// Where an apply stopped.
#[derive(Debug)]
pub enum Interrupted {
    /// The live file was not touched: what was live is live.
    BeforeSwap(Failure),
    /// The live file is the new one.
    AfterSwap {
        /// What failed.
        cause: Failure,
        /// The way back.
        undo: Undo,
    },
}

/// The way back.
#[derive(Debug)]
pub struct Undo(Previous);

impl Undo {
    pub(super) const fn new(previous: Previous) -> Self {
        Self(previous)
    }

    /// Restores the file, then makes sure that the engine serves it; it is only told when it does not.
    pub(super) async fn roll_back(self, on: &Pipeline) -> Result<(), Failure> {
        let previous = self.0;
        let generation = previous.generation();
        let restored = blocking(move || previous.restore()).await;
        restored.map_err(FileError::into_failure)?;
        (on.hook)("rollback:restored");
        let Some(generation) = generation else { return on.engine.stop().await };
        if on.engine.serving().await.is(generation) {
            return Ok(());
        }
        on.engine.reload(generation).await?.confirm().await
    }
}
