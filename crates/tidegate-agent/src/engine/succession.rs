//! Another engine takes the place of the one that served before.
//!
//! `stateDir/engine.json` says which engine this agent drives, `stateDir/former-engine.json` which one still has
//! connections of its own. When the configuration names another one, the former goes on serving until the first
//! configuration of the next is rendered and validated. Two programs cannot listen on one port: the former lets go
//! of its ports and the next one binds them, and if that fails the former is brought back. The kernel (nftables) forwards
//! before any socket sees a packet, so there is no moment without either: one is live before the other retires.

mod former;
mod record;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Confirmation, Engine, EngineError, Pulse, Render, Rendering, Serving, open};
use crate::command::CommandRunner;
use crate::connections::{Connections, CountError};
use crate::settings::EngineSettings;
use former::Former;
use record::Records;

pub use record::RecordError;

/// A socket that is closed is free within a moment; until then the next program is told again.
const PORTS_LIMIT: Duration = Duration::from_millis(200);
const PORTS_PAUSE: Duration = Duration::from_millis(5);

/// The engine of these settings; when another one serves here, one that takes its place with its first configuration.
pub async fn open_after_former(
    settings: &EngineSettings,
    state_dir: &Path,
    commands: Arc<dyn CommandRunner>,
) -> Result<Arc<dyn Engine>, SuccessionError> {
    let next = open(settings, state_dir, commands.clone()).await?;
    let records = Records::in_dir(state_dir);
    if let Some(lingering) = records.lingering()? {
        let engine = open(&lingering, state_dir, commands.clone()).await?;
        if lingering.kind() == settings.kind() {
            // Back again before its connections were gone: it would be found as its own earlier generation.
            drop(engine.stop().await);
            records.gone();
        } else {
            former::wait_and_stop(engine, records.clone());
        }
    }
    let Some(before) = records.driven()?.filter(|before| before.kind() != settings.kind()) else {
        records.drive(settings)?;
        return Ok(next);
    };
    let engine = open(&before, state_dir, commands).await?;
    if matches!(engine.pulse(), Pulse::Down { .. }) {
        records.drive(settings)?;
        return Ok(next);
    }
    tracing::info!(from = %before.kind(), to = %settings.kind(), "the former engine serves until the next one can");
    let former = Former::new(engine, before, settings.clone(), records);
    Ok(Arc::new(Successor { next, former: Arc::new(former) }))
}

/// Why an engine cannot take another one's place.
#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    /// One of the two.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What was noted.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl SuccessionError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Engine(error) => error.class(),
            Self::Record(error) => error.class(),
        }
    }
}

/// The next engine, while the former one still serves or has just stopped to.
struct Successor {
    next: Arc<dyn Engine>,
    former: Arc<Former>,
}

impl Successor {
    /// Both listen on the same ports with sockets.
    fn compete(&self) -> bool {
        [self.next.kind(), self.former.kind()].iter().all(|kind| *kind != EngineKind::Nftables)
    }

    /// Tells the next one, until the ports are free.
    async fn take_over(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        let deadline = Instant::now() + PORTS_LIMIT;
        loop {
            match self.next.reload(generation).await {
                Err(failure) if failure.class == ErrorClass::Transient && Instant::now() < deadline => {
                    sleep(PORTS_PAUSE).await;
                }
                other => return other,
            }
        }
    }
}

impl Render for Successor {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        self.next.render(state)
    }
}

#[async_trait]
impl Engine for Successor {
    fn kind(&self) -> EngineKind {
        self.next.kind()
    }

    fn version(&self) -> Option<String> {
        self.next.version()
    }

    fn template(&self) -> Option<&Path> {
        self.next.template()
    }

    async fn validate(&self, candidate: &Path) -> Result<(), Failure> {
        self.next.validate(candidate).await
    }

    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        if self.former.has_left() {
            return self.next.reload(generation).await;
        }
        let compete = self.compete();
        if compete {
            self.former.retire().await?;
        }
        match self.take_over(generation).await {
            Ok(told) => {
                Ok(Box::new(Handover { told, next: self.next.clone(), former: self.former.clone(), retired: compete }))
            }
            Err(failure) => {
                if compete {
                    self.former.bring_back().await;
                }
                Err(failure)
            }
        }
    }

    async fn serving(&self) -> Serving {
        self.next.serving().await
    }

    async fn stop(&self) -> Result<(), Failure> {
        self.next.stop().await
    }

    async fn retire(&self) -> Result<(), Failure> {
        self.next.retire().await
    }

    async fn lingers(&self) -> bool {
        self.next.lingers().await
    }

    fn pulse(&self) -> Pulse {
        self.next.pulse()
    }

    fn upkeep(&self, broken_off: CancellationToken) -> Option<BoxFuture<'static, ()>> {
        self.next.upkeep(broken_off)
    }

    async fn connections(&self, to: HashSet<SocketAddr>) -> Result<Option<Connections>, CountError> {
        self.next.connections(to).await
    }
}

/// Until the next one is proved to serve, the former one may have to come back.
struct Handover {
    told: Box<dyn Confirmation>,
    next: Arc<dyn Engine>,
    former: Arc<Former>,
    retired: bool,
}

#[async_trait]
impl Confirmation for Handover {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        let Self { told, next, former, retired } = *self;
        let outcome = match told.confirm().await {
            Ok(()) if retired => Ok(()),
            Ok(()) => former.retire().await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = outcome {
            drop(next.stop().await);
            if retired {
                former.bring_back().await;
            }
            return Err(failure);
        }
        former.leave();
        Ok(())
    }
}
