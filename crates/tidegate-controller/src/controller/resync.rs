//! When the next complete LIST is due, and what the watch says while one is under way.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_core::ids::NodeName;
use tidegate_core::node::Node;
use tidegate_core::view::ClusterView;
use tokio::time::Instant;

use crate::retry::Retry;

/// The timetable of complete LISTs.
#[derive(Debug)]
pub(super) struct Resync {
    every: Duration,
    due: Instant,
    /// Nodes that the watch spoke of since the LIST that is under way began.
    under_way: Option<BTreeSet<NodeName>>,
    /// The watch began anew meanwhile: what the LIST shows may be older than what was missed.
    again: bool,
    retry: Retry,
}

impl Resync {
    /// The first LIST is due at once.
    pub(super) fn new(every: Duration) -> Self {
        let retry = Retry::new(Duration::from_millis(500), Duration::from_secs(10));
        Self { every, due: Instant::now(), under_way: None, again: false, retry }
    }

    /// Whether to start a LIST now; if so, it counts as under way.
    pub(super) fn start(&mut self) -> bool {
        let starts = self.under_way.is_none() && self.due <= Instant::now();
        if starts {
            self.under_way = Some(BTreeSet::new());
        }
        starts
    }

    /// When to start the next one; nothing while one is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        self.under_way.is_none().then_some(self.due)
    }

    /// Asks for a LIST as soon as possible.
    pub(super) fn hurry(&mut self) {
        if self.under_way.is_some() {
            self.again = true;
        } else if !self.retry.is_failing() {
            self.due = Instant::now();
        }
    }

    /// Asks for a LIST within this time.
    pub(super) fn within(&mut self, wait: Duration) {
        if !self.retry.is_failing() {
            self.due = self.due.min(Instant::now() + wait);
        }
    }

    /// Notes that the watch spoke of a node.
    pub(super) fn touched(&mut self, name: &NodeName) {
        if let Some(touched) = &mut self.under_way {
            touched.insert(name.clone());
        }
    }

    /// Takes in a finished LIST. What the watch said meanwhile may be newer, and is kept: if it is
    /// older after all, the watch will say the rest.
    pub(super) fn finished(&mut self, nodes: Vec<Node>, view: &ClusterView) -> Vec<Node> {
        let touched = self.under_way.take().unwrap_or_default();
        self.due = if std::mem::take(&mut self.again) { Instant::now() } else { Instant::now() + self.every };
        self.retry.succeeded();
        let untouched = nodes.into_iter().filter(|n| !touched.contains(&n.name));
        let kept = touched.iter().filter_map(|name| view.get(name).cloned());
        untouched.chain(kept).collect()
    }

    /// Notes a failed LIST; answers whether it is the first of a row.
    pub(super) fn failed(&mut self) -> bool {
        self.under_way = None;
        self.due = Instant::now() + self.retry.failed();
        self.retry.is_first_failure()
    }
}
