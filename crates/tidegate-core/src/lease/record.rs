//! What is written into the Lease, and how long it lasts.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The three durations of `leaderElection`, as in client-go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasePolicy {
    /// How long others wait for a leader that is silent.
    pub lease_duration: Duration,
    /// How long a leader that cannot renew still acts; shorter than `lease_duration`.
    pub renew_deadline: Duration,
    /// How often the lease is renewed, or looked at.
    pub retry_period: Duration,
}

impl Default for LeasePolicy {
    fn default() -> Self {
        let [lease_duration, renew_deadline, retry_period] = [15, 10, 2].map(Duration::from_secs);
        Self { lease_duration, renew_deadline, retry_period }
    }
}

/// The content of the Lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Who leads; none after a release.
    pub holder: Option<String>,
    /// How long others should wait.
    pub duration: Duration,
    /// When this leadership began, by the holder's wall clock.
    pub acquired: Option<Timestamp>,
    /// When it was last renewed, by the holder's wall clock.
    pub renewed: Option<Timestamp>,
    /// How often the holder changed.
    pub transitions: u32,
}

/// A Lease as it was read: its content, and the version that a write must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenLease {
    /// Its content.
    pub record: LeaseRecord,
    /// `metadata.resourceVersion`
    pub version: String,
}
