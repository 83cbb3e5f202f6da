//! What a controller is told by its configuration.

use std::time::Duration;

use tidegate_core::desired::Listener;
use tidegate_core::finalizer::FinalizerPolicy;
use tidegate_core::ids::ClusterName;
use tidegate_core::lease::LeasePolicy;
use tidegate_core::policy::NodePolicy;

/// What a controller is told by its configuration.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// The cluster whose nodes are watched.
    pub cluster: ClusterName,
    /// The switches of the rule table.
    pub policy: NodePolicy,
    /// What every load balancer serves.
    pub listeners: Vec<Listener>,
    /// How often a complete LIST repairs what the watch may have missed.
    pub resync: Duration,
    /// Who writes to the log and holds the Lease: `<pod or host>_<process>_<random>`, another one at each start.
    pub holder: String,
    /// The finalizer on Nodes.
    pub finalizer: FinalizerPolicy,
    /// The durations of the election, where there is one.
    pub lease: LeasePolicy,
}

impl ControllerSettings {
    /// The age up to which a LIST is fresh (guard G0): one resync may fail, not two.
    pub fn freshness_limit(&self) -> Duration {
        self.resync + self.resync / 2
    }
}
