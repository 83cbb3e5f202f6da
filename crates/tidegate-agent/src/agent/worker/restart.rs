//! An engine that does not run is started from the live file.

use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::{Failure, Outcome};
use tidegate_core::step::Step;

use super::{Prepared, Worker};
use crate::file::{FileError, Found};

impl Worker {
    /// Starts the engine on the live file, or on what was live when somebody removed the file.
    pub async fn bring_back(&mut self) -> Result<(), Failure> {
        match self.pipeline.file.read() {
            Ok(Found::Absent) => self.write_again().await,
            _ => self.start_from_file().await,
        }
    }

    /// Starts the engine on the live file, after checking it.
    pub async fn start_from_file(&mut self) -> Result<(), Failure> {
        let file = &self.pipeline.file;
        let found = file.read().map_err(FileError::into_failure)?;
        let Found::Ours(generation) = found else {
            let ours = self.live.as_ref().and_then(|live| self.pipeline.engine.render(&live.content.effective).ok());
            file.check_ours(&found, ours.as_ref().map_or("", |r| &r.text)).map_err(FileError::into_failure)?;
            return Err(absent(file.path()));
        };
        self.pipeline.engine.validate(file.path()).await?;
        self.pipeline.engine.reload(generation).await?.confirm().await?;
        // An apply that could not be rolled back may have left another text than the one last verified.
        self.live.take_if(|live| live.generation != generation);
        Ok(())
    }

    async fn write_again(&mut self) -> Result<(), Failure> {
        let Some(content) = self.live.as_ref().map(|live| live.content.clone()) else {
            return Err(absent(self.pipeline.file.path()));
        };
        match self.prepare(&content, true) {
            Prepared::Answered(_) => Ok(()),
            Prepared::Ready(rendered, timings) => match self.apply(&content, rendered, timings).await.report.outcome {
                Outcome::RolledBack { cause } | Outcome::RollbackFailed { cause, .. } => Err(cause),
                _ => Ok(()),
            },
        }
    }
}

fn absent(path: &std::path::Path) -> Failure {
    Failure {
        step: Step::Reload,
        class: ErrorClass::Transient,
        message: format!("{} is not there", path.display()),
        cure: "none needed: the controller's next push writes it".to_owned(),
    }
}
