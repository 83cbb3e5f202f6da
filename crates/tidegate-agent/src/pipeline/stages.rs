//! The stages of one apply as types: a stage can only be made of the one before it.

use std::path::Path;

use tidegate_core::desired::DesiredState;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::task::JoinHandle;

use super::undo::{Interrupted, Undo};
use super::{Pipeline, blocking, joined};
use crate::engine::{Confirmation, Engine, Rendering};
use crate::file::{Candidate, FileError, Previous};

/// Starts what the swap will wait for; whether it succeeded counts there.
fn sync_early(path: &Path) {
    drop(std::fs::File::open(path).and_then(|file| file.sync_all()));
}

/// A configuration as text.
#[derive(Clone, Debug)]
pub struct Rendered(Rendering);

/// A configuration that passed the engine's own checker, in a file beside the live one.
#[derive(Debug)]
pub struct Validated {
    generation: ContentHash,
    candidate: Candidate,
}

/// A validated configuration at the live path; what was there can come back.
#[derive(Debug)]
pub struct Swapped {
    generation: ContentHash,
    previous: Previous,
    /// The new name on its way to the disk.
    settling: JoinHandle<Result<(), FileError>>,
}

/// A configuration that the engine was told to serve.
pub struct Reloaded {
    swapped: Swapped,
    confirmation: Box<dyn Confirmation>,
}

/// A configuration that the engine serves, and nothing else any more.
#[derive(Debug)]
pub struct Verified {
    generation: ContentHash,
}

impl Rendered {
    /// Renders a state; pure.
    pub fn new(engine: &dyn Engine, state: &DesiredState) -> Result<Self, Failure> {
        engine.render(state).map(Self)
    }

    /// What the engine will answer.
    pub const fn generation(&self) -> ContentHash {
        self.0.generation
    }

    /// Writes the text beside the live file and lets the engine check it.
    pub async fn validate(self, on: &Pipeline) -> Result<Validated, Interrupted> {
        let Rendering { generation, text } = self.0;
        let (file, hook) = (on.file.clone(), on.hook.clone());
        let written = blocking(move || Candidate::write(&file, generation, text)).await;
        let candidate = written.map_err(|e| Interrupted::BeforeSwap(e.into_failure()))?;
        hook("swap:temp-written");
        // Both only read it, and the disk is the slower one.
        let syncing = candidate.path().to_owned();
        let (checked, ()) = tokio::join!(on.engine.validate(candidate.path()), blocking(move || sync_early(&syncing)));
        checked.map_err(Interrupted::BeforeSwap)?;
        hook("validate:done");
        Ok(Validated { generation, candidate })
    }
}

impl Validated {
    /// Puts the candidate at the live path.
    pub async fn swap(self, on: &Pipeline) -> Result<Swapped, Interrupted> {
        let hook = on.hook.clone();
        let installed = blocking(move || self.candidate.install(&hook)).await;
        let previous = installed.map_err(|e| Interrupted::BeforeSwap(e.into_failure()))?;
        let (file, hook) = (on.file.clone(), on.hook.clone());
        // The engine is told meanwhile: a power cut that takes the new name takes the engine as well.
        let settling = tokio::task::spawn_blocking(move || {
            file.settle()?;
            hook("swap:dir-synced");
            Ok(())
        });
        Ok(Swapped { generation: self.generation, previous, settling })
    }
}

impl Swapped {
    /// Tells the engine.
    pub async fn reload(self, on: &Pipeline) -> Result<Reloaded, Interrupted> {
        match on.engine.reload(self.generation).await {
            Ok(confirmation) => {
                (on.hook)("reload:sent");
                Ok(Reloaded { swapped: self, confirmation })
            }
            Err(cause) => Err(Interrupted::AfterSwap { cause, undo: Undo::new(self.previous) }),
        }
    }
}

impl Reloaded {
    /// Waits until it is live.
    pub async fn verify(self, on: &Pipeline) -> Result<Verified, Interrupted> {
        let Swapped { generation, previous, settling } = self.swapped;
        let confirmed = match self.confirmation.confirm().await {
            Ok(()) => joined(settling).await.map_err(FileError::into_failure),
            // Whatever failed, it failed while the engine was being asked.
            Err(cause) => Err(Failure { step: Step::Verify, ..cause }),
        };
        match confirmed {
            Ok(()) => {
                (on.hook)("verify:done");
                previous.forget();
                Ok(Verified { generation })
            }
            Err(cause) => Err(Interrupted::AfterSwap { cause, undo: Undo::new(previous) }),
        }
    }
}

impl Verified {
    /// What the engine answers.
    pub const fn generation(&self) -> ContentHash {
        self.generation
    }
}
