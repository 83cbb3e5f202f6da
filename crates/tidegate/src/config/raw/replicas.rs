//! What replicas of the controller agree on, as it is written.

use std::time::Duration;

use tidegate_core::finalizer::FinalizerPolicy;
use tidegate_core::lease::LeasePolicy;

use crate::config::defaults;
use crate::config::kubernetes::ObjectName;
use crate::config::read::section;
use crate::config::text::{Text, written};

section! {
    /// How replicas of the controller choose the one that decides, with a Lease in the cluster.
    pub struct RawLeaderElection;
    required {}
    optional {
        /// Whether there is an election. When omitted: yes with `store.mongodb`, no with `store.sqlite`, which is on one
        /// machine, and with `tidegate run`.
        enabled: Text<bool>,
        /// Namespace of the Lease. When omitted: that of the pod, else `tidegate`.
        #[schemars(extend("examples" = [defaults::NAMESPACE]))]
        namespace: Text<ObjectName>,
        /// Name of the Lease; the same for all replicas of one cluster's controller.
        #[schemars(extend("default" = defaults::LEASE))]
        lease: Text<ObjectName>,
        /// How long the others wait for a leader that is silent; whole seconds.
        #[schemars(extend("default" = written(LeasePolicy::default().lease_duration)))]
        lease_duration: Text<Duration>,
        /// How long a leader that cannot renew the Lease still acts; shorter than `leaseDuration`.
        #[schemars(extend("default" = written(LeasePolicy::default().renew_deadline)))]
        renew_deadline: Text<Duration>,
        /// How often the Lease is renewed, or looked at; `renewDeadline` is more than 1.2 times as long.
        #[schemars(extend("default" = written(LeasePolicy::default().retry_period)))]
        retry_period: Text<Duration>,
    }
    later {}
}

section! {
    /// The finalizer `tidegate.io/drain`: a deleted Node stays until no load balancer sends it traffic. A Node with the
    /// annotation `tidegate.io/finalizer: "false"` gets none.
    pub struct RawFinalizer;
    required {}
    optional {
        /// Whether nodes get one; when not, those that are found are taken off.
        #[schemars(extend("default" = FinalizerPolicy::default().enabled))]
        enabled: Text<bool>,
        /// From the deletion to the release at the latest, with a Warning Event; at most 5m.
        #[schemars(extend("default" = written(FinalizerPolicy::default().deadline)))]
        deadline: Text<Duration>,
    }
    later {}
}
