//! What a run has seen: a simulation in which nothing is ever refused proves nothing.

use std::fmt;
use std::ops::AddAssign;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often something happened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// What never happened.
            pub fn never(&self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name),)*];
                all.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
            }
        }

        impl AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>12}  {}", self.$name, stringify!($name).replace('_', " "))?;)*
                Ok(())
            }
        }
    };
}

counts! {
    /// Faults that began.
    faults,
    /// Changes of the cluster and wishes of operators.
    happenings,
    /// Things that happened to a pod.
    pod_happenings,
    /// Entries that the store took.
    commits,
    /// Entries that opened a term.
    elections,
    /// Entries of an older term that came after a newer one, and were refused.
    old_terms_refused_by_the_store,
    /// States of an older position that reached an agent, and were refused.
    old_positions_refused_by_agents,
    /// States that were sent.
    pushes,
    /// States that became live.
    applies,
    /// Applies that were rolled back.
    roll_backs,
    /// Nodes that were taken out.
    removals,
    /// Nodes that stopped carrying a listener, and served on otherwise.
    partings,
    /// Drains that ended before their deadline.
    early_drains,
    /// Finalizers taken off a node that was being deleted.
    releases,
    /// Orders of operators that were recorded.
    orders,
    /// Writes whose answer was lost.
    lost_answers,
    /// Times at which every rule without faults was looked at.
    calm_checks,
}
