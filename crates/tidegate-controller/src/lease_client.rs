//! The seam to the Lease with which replicas elect their leader, and to the one Lease of each replica that says that it
//! is there.

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::lease::{LeaseRecord, LeaseWrite, SeenLease};
use tokio::sync::mpsc;

use crate::source::ApiFailure;

/// Where replicas meet. What to do with it is decided by [`tidegate_core::lease::Candidate`].
#[async_trait]
pub trait LeaseClient: Send + Sync + 'static {
    /// The Lease, from a consistent read; none when it does not exist.
    async fn read(&self) -> Result<Option<SeenLease>, ApiFailure>;

    /// Writes the Lease if it still has this version (none: if it does not exist). An error leaves open what happened.
    async fn write(&self, record: &LeaseRecord, version: Option<&str>) -> Result<LeaseWrite, ApiFailure>;

    /// Starts a watch that recovers by itself and says a word whenever nobody holds the Lease, so that a release is
    /// noticed at once. It ends when the receiver is dropped. Losing every word only costs time.
    fn vacancies(&self) -> mpsc::Receiver<()>;

    /// Says that this replica is there, at `at`.
    async fn announce(&self, holder: &str, at: Timestamp) -> Result<(), ApiFailure>;

    /// Every replica that has announced itself, with the time of its latest word.
    async fn replicas(&self) -> Result<Vec<(String, Timestamp)>, ApiFailure>;

    /// Takes an announcement back: that of this replica at its end, or of one that has been silent for long.
    async fn withdraw(&self, holder: &str) -> Result<(), ApiFailure>;
}
