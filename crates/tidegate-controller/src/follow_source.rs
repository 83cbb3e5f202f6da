//! The seam to what listeners follow: pods, or the endpoints of a Service.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_core::follow::{Follow, Instance};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::source::ApiFailure;

/// One thing that was heard of what is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowEvent {
    /// A complete, consistent LIST that was started then.
    Listed {
        /// When it was asked for.
        started: Instant,
        /// What each object says.
        objects: BTreeMap<String, Vec<Instance>>,
    },
    /// An object appeared or changed.
    Applied {
        /// Its name.
        object: String,
        /// What it says.
        instances: Vec<Instance>,
    },
    /// An object was deleted.
    Deleted {
        /// Its name.
        object: String,
    },
    /// LIST or watch failed; it is tried again.
    Failed(ApiFailure),
    /// The watch goes on from the last LIST: all is well (again).
    Watching,
}

/// Where pods and endpoints come from: the Kubernetes API, or a fake.
pub trait FollowSource: Send + Sync + 'static {
    /// Begins with a complete LIST, tells every change, and lists anew each `resync`. It recovers by itself, and ends when
    /// the receiver is dropped.
    fn follow(&self, follow: &Follow, resync: Duration) -> mpsc::Receiver<FollowEvent>;
}

/// For a controller whose listeners follow nothing.
#[derive(Clone, Copy, Debug)]
pub struct NothingToFollow;

impl FollowSource for NothingToFollow {
    fn follow(&self, _: &Follow, _: Duration) -> mpsc::Receiver<FollowEvent> {
        mpsc::channel(1).1
    }
}
