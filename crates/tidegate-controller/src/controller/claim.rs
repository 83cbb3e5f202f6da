//! Whose log it is: the first Kubernetes cluster that uses a name keeps it, as two clusters on one log would take out
//! each other's nodes.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::class::ErrorClass;
use tidegate_store::Store;
use tokio::time::Instant;
use tracing::{info, warn};

use super::input::Input;
use super::limits::{api_within, store_within};
use super::tail::READ_LIMIT;
use super::tasks::Tasks;
use super::{ControllerError, Inputs, Shared};
use crate::node_writer::NodeWriter;
use crate::retry::Retry;
use crate::source::ApiFailure;

const CALL_LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The API has not told yet.
    Unknown,
    /// It is being asked.
    Asked,
    /// This is the cluster's uid; the store has not been asked yet.
    Known(String),
    /// The log is this cluster's, as far as can be known.
    Settled,
}

/// Settles, once after each start, whose log it is.
pub(super) struct Claim {
    store: Arc<dyn Store>,
    nodes: Arc<dyn NodeWriter>,
    state: State,
    retry: Retry,
}

impl Claim {
    pub(super) fn new(shared: &Shared) -> Self {
        let retry = Retry::new(Duration::from_millis(500), Duration::from_secs(10));
        Self { store: shared.store.clone(), nodes: shared.nodes.clone(), state: State::Unknown, retry }
    }

    /// Asks the API for the uid, if that has not been done. Followers do so too: a new leader need not wait.
    pub(super) fn start(&mut self, tasks: &Tasks, inputs: &Inputs) {
        if self.state != State::Unknown || !self.retry.is_due() {
            return;
        }
        self.state = State::Asked;
        let (nodes, inputs) = (self.nodes.clone(), inputs.clone());
        tasks.spawn(async move {
            let result = api_within(CALL_LIMIT, nodes.cluster_uid()).await;
            drop(inputs.send(Input::ClusterUid { result }).await);
        });
    }

    /// Takes in the API's answer.
    pub(super) fn told(&mut self, result: Result<String, ApiFailure>) {
        self.state = match result {
            Ok(uid) => {
                self.retry.succeeded();
                State::Known(uid)
            }
            Err(error) if error.class() == ErrorClass::Permanent => {
                warn!(%error, "the uid of namespace kube-system cannot be read: two clusters of one name would not be noticed");
                State::Settled
            }
            Err(_) => {
                self.retry.failed();
                State::Unknown
            }
        };
    }

    /// Asks the store, if it is time; answers whether the log is ours. Only a leader asks: it is a write.
    pub(super) async fn settle(&mut self) -> Result<bool, ControllerError> {
        let State::Known(uid) = &self.state else { return Ok(self.state == State::Settled) };
        if !self.retry.is_due() {
            return Ok(false);
        }
        match store_within(READ_LIMIT, "claiming the log", self.store.claim(uid)).await {
            Ok(()) => {
                self.retry.succeeded();
                self.state = State::Settled;
                info!("the log is this cluster's");
                Ok(true)
            }
            Err(source) if matches!(source.class(), ErrorClass::Transient | ErrorClass::Conflict) => {
                self.retry.failed();
                if self.retry.is_first_failure() {
                    warn!(%source, "it is not certain whose log it is; trying again");
                }
                Ok(false)
            }
            Err(source) => Err(ControllerError::Claim { source }),
        }
    }

    /// When to try again; nothing while an answer is awaited, or only a leader could do something.
    pub(super) fn due(&self, leads: bool) -> Option<Instant> {
        let waits = match &self.state {
            State::Unknown => true,
            State::Known(_) => leads,
            State::Asked | State::Settled => false,
        };
        self.retry.due().filter(|_| waits)
    }
}
