//! The node watcher: it observes the Nodes of a cluster, decides with [`tidegate_core`], records each
//! decision in a [`tidegate_store::Store`], and publishes what is recorded to every load balancer.
//!
//! The loop is `gather -> plan -> record -> publish` ([`Controller::run`]). One task owns the view of
//! the cluster and the log; everything else talks to it through channels. Only committed revisions
//! are ever published.
#![warn(missing_docs)]

pub mod access;
mod api;
mod causes;
mod clock;
mod controller;
mod follow_source;
mod kube_follow;
mod kube_lease;
mod kube_source;
mod kube_writer;
mod lease_client;
mod metrics;
mod node_writer;
mod orders;
mod publisher;
mod retry;
mod settings;
mod source;
mod status;

pub use api::{ApiError, ApiServer, ApiState, ApiToken, serve_api};
pub use clock::{Clock, SystemClock};
pub use controller::{Controller, ControllerError, Seams};
pub use follow_source::{FollowEvent, FollowSource, NothingToFollow};
pub use kube_follow::KubeFollowSource;
pub use kube_lease::KubeLease;
pub use kube_source::{KubeNodeSource, NodeObject};
pub use kube_writer::KubeNodeWriter;
pub use lease_client::LeaseClient;
pub use node_writer::NodeWriter;
pub use orders::{OrderError, OrderReply, OverrideReply};
pub use publisher::{HttpPublisher, HttpPublisherSettings, PublishError, Publisher, PublisherSetupError};
pub use settings::ControllerSettings;
pub use source::{ApiFailure, NodeSource, Observation, SourceError, WatchEvent};
