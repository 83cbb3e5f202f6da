//! The agent: one mailbox in front of one engine.

mod assemble;
mod audit;
mod backends;
mod boot;
mod census;
mod content;
mod drift;
mod failures;
mod job;
mod lock;
mod mailbox;
mod probing;
mod start_error;
mod status;
mod worker;
mod zoning;

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::{AgentStatus, ApplyReport, Failure, Outcome, Refusal};
use tidegate_core::step::Step;
use tokio::sync::{mpsc, oneshot, watch};

pub use assemble::Parts;
pub use content::Content;
pub use start_error::StartError;

use crate::hook::{StepHook, or_none};
use crate::metrics::Metrics;
use crate::settings::AgentSettings;
use census::Census;
use job::Message;
use status::Posted;

/// Starts agents.
pub struct Agent;

impl Agent {
    /// Brings the last-known-good state live, with everything else down if need be, then takes states.
    ///
    /// An engine that cannot serve is no error here: it is in the status, and tried again.
    pub async fn start(
        settings: AgentSettings,
        hook: Option<StepHook>,
        registry: &mut Registry,
    ) -> Result<AgentHandle, StartError> {
        let parts = Parts::new(settings, or_none(hook)).await?;
        Self::start_with(parts, registry).await
    }

    /// The same, with an engine of the caller's own.
    pub async fn start_with(parts: Parts, registry: &mut Registry) -> Result<AgentHandle, StartError> {
        let metrics = Metrics::new(parts.engine().kind().as_str(), registry);
        let census = Arc::new(Census::new(parts.engine().clone()));
        let (sender, inbox) = mpsc::channel(64);
        let (mailbox, posted) = parts.boot(inbox, metrics.clone()).await?;
        let task = tokio::spawn(mailbox.run());
        let (done, ended) = watch::channel(false);
        tokio::spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(%error, "the agent's mailbox ended unexpectedly");
            }
            done.send_replace(true);
        });
        Ok(AgentHandle { sender, posted, census, ended, metrics })
    }
}

/// Speaks to a running agent; clones speak to the same one.
#[derive(Clone)]
pub struct AgentHandle {
    sender: mpsc::Sender<Message>,
    posted: watch::Receiver<Posted>,
    census: Arc<Census>,
    ended: watch::Receiver<bool>,
    metrics: Metrics,
}

impl AgentHandle {
    /// Offers a state; answers once it is live, was rolled back, or was overtaken by a newer one.
    pub async fn submit(&self, state: DesiredState) -> Result<ApplyReport, Refusal> {
        let (reply, answer) = oneshot::channel();
        // A closed mailbox drops the message, and with it the reply.
        drop(self.sender.send(Message::Submit { state: Box::new(state), reply }).await);
        answer.await.unwrap_or_else(|_| Ok(self.stopped()))
    }

    /// What the agent says of itself, at once: without counted connections.
    pub fn status(&self) -> AgentStatus {
        self.posted.borrow().status(None)
    }

    /// The same with the connections of each backend, counted when what the status says to be live was live already.
    pub async fn counted_status(&self) -> AgentStatus {
        // Taken before the count is begun: its meaning depends on this order.
        let posted = self.posted.borrow().clone();
        let counted = match &posted.serving {
            Some(content) => self.census.of(&content.desired).await,
            None => None,
        };
        posted.status(counted.as_deref())
    }

    /// Waits until the status fulfils a condition, or the agent ends.
    pub async fn wait_until(&self, mut condition: impl FnMut(&AgentStatus) -> bool) -> AgentStatus {
        let mut posted = self.posted.clone();
        let found = posted.wait_for(|p| condition(&p.status(None))).await.map(|p| p.status(None));
        found.unwrap_or_else(|_| self.status())
    }

    /// Ends the agent after the apply in flight; the engine is left running.
    pub async fn shutdown(self) {
        drop(self.sender.send(Message::Shutdown).await);
        let mut ended = self.ended.clone();
        // An error means that the watching task is gone, and it outlives the mailbox.
        drop(ended.wait_for(|done| *done).await);
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn stopped(&self) -> ApplyReport {
        let cause = Failure {
            step: Step::Render,
            class: ErrorClass::Transient,
            message: "the agent is shutting down".to_owned(),
            cure: "push again when it is back".to_owned(),
        };
        ApplyReport { outcome: Outcome::RolledBack { cause }, live: self.status().live, timings: Vec::new() }
    }
}
