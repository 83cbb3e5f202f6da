//! Events on Nodes, one after the other, beside the loop: nobody waits for them, and losing one loses only words.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::event::NodeEvent;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::Shared;
use super::limits::api_within;
use super::office::Tenure;
use super::tasks::Tasks;
use crate::node_writer::NodeWriter;
use crate::retry::Retry;

/// More than this wait only when the API is away: then the history has them all the same.
const WAITING: usize = 4096;
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Hands Events to a task that sends them.
pub(super) struct Events {
    queue: mpsc::Sender<(Tenure, NodeEvent)>,
}

impl Events {
    pub(super) fn new(shared: &Shared, tasks: &Tasks) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        tasks.spawn(send(shared.nodes.clone(), waiting));
        Self { queue }
    }

    /// Sends this Event while the tenure goes on.
    pub(super) fn tell(&self, tenure: &Tenure, event: NodeEvent) {
        if self.queue.try_send((tenure.clone(), event)).is_err() {
            debug!("an Event is not sent: too many wait for the API server");
        }
    }
}

async fn send(nodes: Arc<dyn NodeWriter>, mut waiting: mpsc::Receiver<(Tenure, NodeEvent)>) {
    let mut retry = Retry::new(Duration::ZERO, Duration::ZERO);
    while let Some((tenure, event)) = waiting.recv().await {
        if !tenure.is_valid() {
            continue;
        }
        match api_within(CALL_LIMIT, nodes.event(&event)).await {
            Ok(()) => {
                if retry.succeeded() {
                    info!("Events on Nodes are written again");
                }
            }
            Err(error) => {
                retry.failed();
                if retry.is_first_failure() {
                    warn!(%error, node = %event.node, "an Event on a Node is not written; history has it");
                }
            }
        }
    }
}
