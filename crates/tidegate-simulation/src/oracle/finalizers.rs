//! A deletion waits for every load balancer that can be asked, and never beyond its deadline.

use std::time::Duration;

use tidegate_core::ids::{NodeName, NodeUid};

use super::{Moment, Oracle};
use crate::parties::AgentId;
use crate::violation::Invariant;

/// From the deletion to the release at the latest, as these controllers are configured.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// A load balancer that was heard of within this is waited for (300 s, and something for the way).
const HEARD_OF: Duration = Duration::from_secs(290);
/// What a finalizer may outlive its deadline by.
const PATIENCE: Duration = Duration::from_secs(10);
/// Within this after the last trouble there is a leader again that has read everything: a LIST that hung when the trouble
/// ended is given up after 60 s, and the next one comes within 10 s.
const RECOVERY: Duration = Duration::from_secs(80);

/// A finalizer that is taken off a node which is being deleted.
pub(crate) struct Taken<'a> {
    pub(crate) holder: &'a str,
    pub(crate) node: &'a NodeName,
    pub(crate) uid: &'a NodeUid,
    /// Whether that process's clock had reached the deadline.
    pub(crate) due: bool,
}

impl Oracle {
    /// A finalizer was taken off.
    pub(crate) fn released(&mut self, moment: &mut Moment<'_>, taken: &Taken<'_>) {
        let Taken { holder, node, uid, due } = taken;
        self.counts.releases += 1;
        moment.note(format_args!("{holder} releases {node} ({uid}){}", if *due { " at the deadline" } else { "" }));
        if *due {
            return;
        }
        if self.log.membership.get(uid).is_some() {
            moment.accuse(Invariant::FinalizerWaits, format_args!("{node} is released as a member"));
        }
        let Some(left) = self.left_at.get(uid) else { return };
        let asked = |agent: &AgentId| {
            let heard = self.heard.get(&((*holder).to_owned(), *agent));
            heard.is_some_and(|at| *at + HEARD_OF > moment.now)
        };
        let behind = self.live.iter().find(|(agent, live)| asked(agent) && *live < left);
        if let Some((agent, live)) = behind {
            let detail = format_args!("{node} left at {left} and is released while {agent} serves {live}");
            moment.accuse(Invariant::FinalizerWaits, detail);
        }
    }

    /// A node that is being deleted still has its finalizer.
    pub(crate) fn still_held(
        moment: &mut Moment<'_>,
        node: &NodeName,
        deleted: Duration,
        control_calm_since: Duration,
    ) {
        let due = (deleted + DEADLINE).max(control_calm_since + RECOVERY);
        if moment.now > due + PATIENCE {
            let detail = format_args!("{node}, deleted at {:.3}, is still held", deleted.as_secs_f64());
            moment.accuse(Invariant::FinalizerEnds, detail);
        }
    }
}
