//! Noticing that somebody else touched the live file, before it is loaded by chance.

use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::worker::Worker;
use crate::file::{FileError, Found, Stamp};

/// The live file as it was last looked at.
#[derive(Debug, Default)]
pub struct Drift {
    seen: Option<Stamp>,
}

impl Drift {
    /// Looks at the file if it was touched since the last look: whether it is what is live.
    ///
    /// Nothing when it was not touched, or nothing is known to be live.
    pub fn look(&mut self, worker: &Worker) -> Option<Result<(), Failure>> {
        let stamp = Stamp::of(worker.pipeline.file.path());
        if worker.live.is_none() || self.seen.replace(stamp) == Some(stamp) {
            return None;
        }
        Some(compare(worker))
    }
}

fn compare(worker: &Worker) -> Result<(), Failure> {
    let (file, Some(live)) = (&worker.pipeline.file, &worker.live) else { return Ok(()) };
    match file.read().map_err(FileError::into_failure)? {
        Found::Ours(generation) if generation == live.generation => Ok(()),
        found @ (Found::Edited(_) | Found::Foreign(_)) => {
            let expected = worker.pipeline.engine.render(&live.content.effective)?;
            file.refusal(&found, &expected.text).map_or(Ok(()), |error| Err(error.into_failure()))
        }
        Found::Absent | Found::Ours(_) => Err(Failure {
            step: Step::Swap,
            class: ErrorClass::Transient,
            message: format!("somebody removed or replaced {}", file.path().display()),
            cure: "none needed: the next change writes it again".to_owned(),
        }),
    }
}
