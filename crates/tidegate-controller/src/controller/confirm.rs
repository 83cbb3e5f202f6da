//! Members that seem gone are asked for by name, a few at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_core::ids::{NodeName, NodeUid};
use tokio::time::Instant;

use crate::retry::Retry;

/// GETs at a time: a whole rack is confirmed in a second, and no API server notices.
const AT_A_TIME: usize = 8;

/// Which members are being asked for.
#[derive(Debug)]
pub(super) struct Confirm {
    wanted: Vec<(NodeName, NodeUid)>,
    under_way: BTreeSet<NodeUid>,
    retry: Retry,
}

impl Confirm {
    pub(super) fn new() -> Self {
        let retry = Retry::new(Duration::from_millis(500), Duration::from_secs(10));
        Self { wanted: Vec::new(), under_way: BTreeSet::new(), retry }
    }

    /// What the latest plan wants to know.
    pub(super) fn want(&mut self, wanted: Vec<(NodeName, NodeUid)>) {
        self.wanted = wanted;
    }

    /// Which GETs to send now; they count as under way.
    pub(super) fn start(&mut self) -> Vec<(NodeName, NodeUid)> {
        if !self.retry.is_due() {
            return Vec::new();
        }
        // While the API fails, one question is enough to learn that it is back.
        let limit = if self.retry.is_failing() { 1 } else { AT_A_TIME };
        let free = limit.saturating_sub(self.under_way.len());
        let idle = self.wanted.iter().filter(|(_, uid)| !self.under_way.contains(uid));
        let next: Vec<_> = idle.take(free).cloned().collect();
        self.under_way.extend(next.iter().map(|(_, uid)| uid.clone()));
        next
    }

    /// When to look again; nothing while there is nothing to ask or an answer is awaited.
    pub(super) fn due(&self) -> Option<Instant> {
        let idle = self.wanted.iter().any(|(_, uid)| !self.under_way.contains(uid));
        self.retry.due().filter(|_| idle && self.under_way.is_empty())
    }

    /// Notes an answer.
    pub(super) fn answered(&mut self, uid: &NodeUid) {
        self.under_way.remove(uid);
        self.wanted.retain(|(_, wanted)| wanted != uid);
        self.retry.succeeded();
    }

    /// Notes a failure; answers whether it is the first of a row.
    pub(super) fn failed(&mut self, uid: &NodeUid) -> bool {
        self.under_way.remove(uid);
        self.retry.failed();
        self.retry.is_first_failure()
    }
}
