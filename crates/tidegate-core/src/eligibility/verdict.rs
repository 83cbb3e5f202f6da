//! What a rule decides.

use std::time::Duration;

use jiff::Timestamp;

use super::Rule;

/// What should happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// In the pools.
    Serve,
    /// Not added yet; a member stays as it is.
    Wait,
    /// A member takes no new connections and is removed after this long.
    Drain(Duration),
    /// A member is removed at once.
    Remove,
}

/// The outcome of the table for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The rule that decided.
    pub rule: Rule,
    /// What follows.
    pub action: Action,
    /// What the rule saw, for people.
    pub reason: String,
    /// When time alone may change the verdict.
    pub recheck_at: Option<Timestamp>,
}
