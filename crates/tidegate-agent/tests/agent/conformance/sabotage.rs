//! A real engine whose answers, and only these, are made to fail on purpose.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use tidegate_agent::connections::{Connections, CountError};
use tidegate_agent::engine::{Confirmation, Engine, Pulse, Render, Rendering, Serving};
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio_util::sync::CancellationToken;

use crate::faulty::Fault;

pub struct Sabotaged {
    pub inner: Arc<dyn Engine>,
    /// What goes wrong, each once, in this order of calls.
    pub faults: Mutex<VecDeque<Fault>>,
}

impl Sabotaged {
    fn strikes(&self, faults: &[Fault]) -> Option<Fault> {
        let mut planned = self.faults.lock().unwrap();
        let next = planned.front().copied().filter(|f| faults.contains(f))?;
        planned.pop_front();
        Some(next)
    }
}

fn failure(step: Step) -> Failure {
    let message = format!("{step} fails on purpose");
    Failure { step, class: ErrorClass::Permanent, message, cure: "none".into() }
}

impl Render for Sabotaged {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        self.inner.render(state)
    }
}

#[async_trait]
impl Engine for Sabotaged {
    fn kind(&self) -> EngineKind {
        self.inner.kind()
    }

    fn version(&self) -> Option<String> {
        self.inner.version()
    }

    fn template(&self) -> Option<&Path> {
        self.inner.template()
    }

    async fn validate(&self, candidate: &Path) -> Result<(), Failure> {
        match self.strikes(&[Fault::Validate]) {
            Some(_) => Err(failure(Step::Validate)),
            None => self.inner.validate(candidate).await,
        }
    }

    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        if self.strikes(&[Fault::Reload, Fault::AndReloadAgain]).is_some() {
            return Err(failure(Step::Reload));
        }
        match self.strikes(&[Fault::ConfirmOld, Fault::ConfirmLate, Fault::AndConfirmAgain]) {
            None => self.inner.reload(generation).await,
            Some(Fault::ConfirmLate) => {
                self.inner.reload(generation).await?.confirm().await?;
                Ok(Box::new(Denied))
            }
            Some(_) => Ok(Box::new(Denied)),
        }
    }

    async fn serving(&self) -> Serving {
        self.inner.serving().await
    }

    async fn stop(&self) -> Result<(), Failure> {
        self.inner.stop().await
    }

    fn pulse(&self) -> Pulse {
        self.inner.pulse()
    }

    fn upkeep(&self, broken_off: CancellationToken) -> Option<BoxFuture<'static, ()>> {
        self.inner.upkeep(broken_off)
    }

    async fn connections(&self, to: HashSet<SocketAddr>) -> Result<Option<Connections>, CountError> {
        self.inner.connections(to).await
    }
}

struct Denied;

#[async_trait]
impl Confirmation for Denied {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        Err(failure(Step::Verify))
    }
}
