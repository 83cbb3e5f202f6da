//! Which nodes should receive traffic: the rule table of `docs/eligibility.md`, first match wins.
//!
//! Each rule has a name, a class and a switch in [`NodePolicy`](crate::policy::NodePolicy); each
//! verdict carries the rule's name and what the rule saw.

mod address;
mod evaluate;
mod rule;
mod verdict;

pub use address::{AddressBook, AddressProblem};
pub use evaluate::{Subject, evaluate, gone};
pub use rule::{Class, Rule};
pub use verdict::{Action, Verdict};
