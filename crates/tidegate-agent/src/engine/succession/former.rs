//! The engine that served before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_core::engine::EngineKind;
use tidegate_core::protocol::Failure;
use tokio::time::sleep;

use super::record::Records;
use crate::engine::{Engine, Pulse};
use crate::file::{Found, LiveFile};
use crate::settings::EngineSettings;

/// How often one that has retired is asked whether its last connection is gone.
const ASK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Former {
    engine: Arc<dyn Engine>,
    settings: EngineSettings,
    next: EngineSettings,
    records: Records,
    left: AtomicBool,
}

impl Former {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        settings: EngineSettings,
        next: EngineSettings,
        records: Records,
    ) -> Self {
        Self { engine, settings, next, records, left: AtomicBool::new(false) }
    }

    pub(super) fn kind(&self) -> EngineKind {
        self.engine.kind()
    }

    /// Whether the next one has taken its place.
    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// It lets go of its ports; its connections go on.
    pub(super) async fn retire(&self) -> Result<(), Failure> {
        self.engine.retire().await
    }

    /// It serves its live file again: the next one could not.
    pub(super) async fn bring_back(&self) {
        // One that drains instead of ending would keep the next start from its sockets and its pid file.
        if matches!(self.engine.pulse(), Pulse::Running { .. }) {
            drop(self.engine.stop().await);
        }
        let file = LiveFile::new(self.settings.config_file().to_owned(), false);
        let brought = match file.read() {
            Ok(Found::Ours(generation)) => match self.engine.reload(generation).await {
                Ok(told) => told.confirm().await.map_err(|failure| failure.message),
                Err(failure) => Err(failure.message),
            },
            Ok(_) => Err(format!("{} is not as tidegate wrote it", self.settings.config_file().display())),
            Err(error) => Err(error.to_string()),
        };
        match brought {
            Ok(()) => tracing::warn!(engine = %self.kind(), "the former engine serves again"),
            Err(error) => tracing::error!(engine = %self.kind(), error, "the former engine cannot be brought back"),
        }
    }

    /// The next one has proved that it serves.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
        let noted = self.records.lingers(&self.settings).and_then(|()| self.records.drive(&self.next));
        if let Err(error) = noted {
            // The next start would find the former one down, and go on.
            tracing::warn!(%error, "which engine serves here cannot be noted");
        }
        tracing::info!(from = %self.kind(), to = %self.next.kind(), "another engine serves now");
        wait_and_stop(self.engine.clone(), self.records.clone());
    }
}

/// Stops an engine that has retired, once its last connection is gone.
pub(super) fn wait_and_stop(engine: Arc<dyn Engine>, records: Records) {
    tokio::spawn(async move {
        while engine.lingers().await {
            sleep(ASK_EVERY).await;
        }
        if let Err(failure) = engine.stop().await {
            tracing::warn!(engine = %engine.kind(), error = failure.message, cure = failure.cure, "the former engine does not end");
        }
        records.gone();
    });
}
