//! The rules, in the order in which they are asked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether somebody wanted the removal: involuntary ones are limited by the guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Somebody asked for it.
    Voluntary,
    /// It was observed, and observations can lie.
    Involuntary,
    /// Takes nothing out.
    Neutral,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $class:ident, $observation:literal, $verdict:literal;)*) => {
        /// Why a node is where it is. The order is that of the table: the first that matches decides.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// Every rule, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in verdicts, metrics and the log.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether the guards limit it.
            pub const fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)* }
            }

            /// What the rule looks at, for the generated table.
            pub const fn observation(self) -> &'static str {
                match self { $(Self::$variant => $observation,)* }
            }

            /// What follows, for the generated table.
            pub const fn verdict(self) -> &'static str {
                match self { $(Self::$variant => $verdict,)* }
            }
        }
    };
}

rules! {
    /// The Node object is no more.
    Gone = "gone", Voluntary,
        "absent from a complete, consistent LIST, and a live GET says 404 or another UID",
        "drain, then remove";
    /// An operator or the cloud provider says that the machine is off.
    OutOfService = "out-of-service", Voluntary,
        "taint `node.kubernetes.io/out-of-service` or `node.cloudprovider.kubernetes.io/shutdown`",
        "remove at once";
    /// Another Node has its name now.
    Replaced = "replaced", Voluntary,
        "same name, other `metadata.uid`, and a live GET says so too",
        "remove the old one at once; the new one joins like any other";
    /// The Node is being deleted.
    Deleting = "deleting", Voluntary,
        "`metadata.deletionTimestamp` is set",
        "drain, then remove";
    /// Excluded from load balancers by label (KEP-1143).
    Excluded = "excluded", Voluntary,
        "label `node.kubernetes.io/exclude-from-external-load-balancers` or annotation `tidegate.io/exclude`, unless its value is one that Go's ParseBool reads as false",
        "drain, then remove";
    /// The cluster autoscaler, or a taint from `nodes.drainTaints`, announces the end.
    Autoscaler = "autoscaler", Voluntary,
        "taint `ToBeDeletedByClusterAutoscaler`, or one of `nodes.drainTaints`",
        "drain, then remove";
    /// The kubelet is shutting down gracefully (KEP-2000).
    ShuttingDown = "shutting-down", Voluntary,
        "Ready=False, reason KubeletNotReady, message contains `node is shutting down`",
        "drain at once, remove after 60 s";
    /// An operator asked for it.
    Drained = "drained", Voluntary,
        "an operator ran `tidegate drain`",
        "drain, then remove; stays out until `tidegate undrain`";
    /// Not one of the nodes that the configuration selects.
    OutsideSelector = "outside-selector", Voluntary,
        "labels do not match `nodes.selector` (when omitted: has a control-plane role label)",
        "drain, then remove";
    /// Cordoned, where the configuration says that this matters.
    Cordoned = "cordoned", Voluntary,
        "`spec.unschedulable` is set and `nodes.drainOnCordon` is on",
        "drain, then remove";
    /// No address to send traffic to, or one that another node has.
    NoAddress = "no-address", Involuntary,
        "no address of the configured type and family (or none in annotation `tidegate.io/address`), or one that another node has",
        "never add; a member keeps the address it had";
    /// Not ready for long enough yet.
    Joining = "joining", Neutral,
        "Ready for less than `nodes.joinDelay`, or taint `node.cloudprovider.kubernetes.io/uninitialized`",
        "do not add yet";
    /// Its network does not work.
    NetworkUnavailable = "network-unavailable", Involuntary,
        "NetworkUnavailable=True for at least 10 s",
        "drain, then remove";
    /// Its kubelet reports trouble, or nothing at all.
    NotReady = "not-ready", Involuntary,
        "Ready is False, Unknown or missing",
        "as `nodes.notReady` says: drain, serve on while it answers probes, or remove at once";
    /// Nothing speaks against it: pressure conditions, other taints and an empty providerID do not matter.
    Eligible = "eligible", Neutral,
        "none of the above",
        "serve";
    /// Of one listener: not one of the nodes that it selects.
    OutsidePool = "outside-pool", Voluntary,
        "labels do not match the listener's `nodes`",
        "drain, then remove, from this listener";
    /// Of one listener: what it follows is about to end there (deletionTimestamp, a terminating endpoint).
    PodEnding = "pod-ending", Voluntary,
        "every pod that the listener's `follow` selects on this node has a deletionTimestamp, or none is Ready and one has",
        "drain, then remove, from this listener";
    /// Of one listener: what it follows runs there and is not ready.
    PodNotReady = "pod-not-ready", Involuntary,
        "no pod that the listener's `follow` selects on this node is Ready",
        "drain, then remove, from this listener";
    /// Of one listener: what it follows does not run there.
    NoPod = "no-pod", Voluntary,
        "no pod that the listener's `follow` selects is on this node",
        "drain, then remove, from this listener";
    /// Of one listener: nothing speaks against it (any more).
    Carries = "carries", Neutral,
        "a pod that the listener's `follow` selects is Ready on this node, whose labels match the listener's `nodes`",
        "serve, by this listener too";
}

impl Rule {
    /// Whether it speaks about a node behind one listener, and not about the node.
    pub const fn is_of_listener(self) -> bool {
        matches!(self, Self::OutsidePool | Self::PodEnding | Self::PodNotReady | Self::NoPod | Self::Carries)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_one_name_everywhere() {
        for rule in Rule::ALL {
            assert_eq!(serde_json::to_string(rule).unwrap(), format!("\"{}\"", rule.name()));
        }
    }
}
