//! Which members carry which listener: rules `outside-pool`, `pod-ending`, `pod-not-ready` and `no-pod`.
//!
//! A member carries every listener, unless its record says otherwise ([`Member::apart`]). That is recorded like everything
//! else: what a load balancer serves follows from the log alone.

mod checks;
mod pass;
mod wish;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::eligibility::Rule;
use crate::follow::Follow;
use crate::ids::ListenerName;
use crate::membership::MemberState;
use crate::selector::Selector;

pub(crate) use pass::carry;

/// What a listener asks of the nodes that carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Which listener.
    pub listener: ListenerName,
    /// Whether nobody at all may carry it.
    pub allow_empty: bool,
    /// Only nodes with these labels.
    pub nodes: Option<Selector>,
    /// Only nodes where one of these is Ready.
    pub follow: Option<Follow>,
}

/// Why, and how far, a member does not carry a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Apart {
    /// When the connections that it has are given up; absent: none is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The rule that decided.
    pub rule: Rule,
    /// What that rule saw.
    pub reason: String,
    /// When it was decided.
    pub since: Timestamp,
}

/// How a member stands behind a listener; nothing when it is not behind it at all.
pub fn state_behind(state: MemberState, apart: Option<&Apart>) -> Option<MemberState> {
    let Some(apart) = apart else { return Some(state) };
    let own = apart.deadline?;
    let deadline = match state {
        MemberState::Active => own,
        MemberState::Draining { deadline } => deadline.min(own),
    };
    Some(MemberState::Draining { deadline })
}
