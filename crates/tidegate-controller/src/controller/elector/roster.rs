//! Says that this replica is there, and finds out which others are.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::status::ReplicaStatus;
use tidegate_core::time::elapsed;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::Shared;
use super::super::limits::api_within;
use super::super::office::{Office, Tenure};
use crate::lease_client::LeaseClient;
use crate::retry::Retry;
use crate::source::ApiFailure;

const EVERY: Duration = Duration::from_secs(10);
/// Two words may be lost before a replica counts as gone.
const HEARD_LATELY: Duration = Duration::from_secs(30);
/// The announcement of a replica that has been silent for this long is taken away.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// Keeps the list of replicas that the status shows.
pub(in super::super) struct Roster {
    client: Arc<dyn LeaseClient>,
    shared: Shared,
    office: Office,
    retry: Retry,
}

impl Roster {
    pub(in super::super) fn new(shared: &Shared, client: Arc<dyn LeaseClient>, office: Office) -> Self {
        Self { client, shared: shared.clone(), office, retry: Retry::new(EVERY, EVERY) }
    }

    /// Runs until `shutdown`.
    pub(in super::super) async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let round = async {
                let outcome = self.round().await;
                self.note(outcome);
                sleep(EVERY).await;
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = round => {}
            }
        }
    }

    async fn round(&self) -> Result<(), ApiFailure> {
        let now = self.shared.clock.now();
        api_within(CALL_LIMIT, self.client.announce(&self.shared.settings.holder, now)).await?;
        let found = api_within(CALL_LIMIT, self.client.replicas()).await?;
        self.shared.board.set_replicas(self.list(&found, now));
        for (holder, seen) in found {
            let tenure = self.office.tenure();
            if elapsed(seen, now) > FORGOTTEN_AFTER && tenure.as_ref().is_some_and(Tenure::is_valid) {
                debug!(holder, "a replica that has been silent for long is forgotten");
                api_within(CALL_LIMIT, self.client.withdraw(&holder)).await?;
            }
        }
        Ok(())
    }

    fn list(&self, found: &[(String, Timestamp)], now: Timestamp) -> Vec<ReplicaStatus> {
        let leader = self.office.leader();
        let mut replicas: Vec<ReplicaStatus> = found
            .iter()
            .filter(|(_, seen)| elapsed(*seen, now) < HEARD_LATELY)
            .map(|(holder, seen)| ReplicaStatus {
                holder: holder.clone(),
                is_leader: leader.as_ref() == Some(holder),
                last_seen: *seen,
            })
            .collect();
        replicas.sort_by(|a, b| a.holder.cmp(&b.holder));
        replicas
    }

    fn note(&mut self, outcome: Result<(), ApiFailure>) {
        match outcome {
            Ok(()) => {
                if self.retry.succeeded() {
                    info!("the list of replicas is up to date again");
                }
            }
            Err(error) => {
                self.retry.failed();
                if self.retry.is_first_failure() {
                    warn!(%error, "the list of replicas is out of date");
                }
            }
        }
    }
}
