//! What is true, kept apart from the code under test, and what follows for each step.

mod agents;
mod cluster;
mod finalizers;
mod leases;
mod pods;
mod record;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tidegate_core::desired::Listener;
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{NodeName, NodeUid};
use tidegate_core::log::LogState;
use tidegate_core::position::{Position, Revision, Term};

use crate::count::Counts;
use crate::parties::AgentId;
use crate::trace::Trace;
use crate::violation::Invariant;

pub(crate) use finalizers::{DEADLINE, Taken};
use pods::Known;
use record::Offer;
pub(crate) use record::cluster;

pub(crate) use cluster::{AUTOSCALER_TAINT, EXCLUDE_LABEL, OUT_OF_SERVICE_TAINT};

/// The judge of a run.
#[derive(Debug)]
pub(crate) struct Oracle {
    listeners: Vec<Listener>,
    /// What the committed log adds up to.
    log: LogState,
    openers: BTreeMap<Term, String>,
    offers: BTreeMap<(Revision, Term, String), Offer>,
    /// The content that each committed position stands for.
    contents: BTreeMap<Position, ContentHash>,
    left_at: BTreeMap<NodeUid, Position>,
    /// Existing nodes, and since when each has been well and wanted.
    healthy_since: BTreeMap<NodeUid, Option<Duration>>,
    /// What is true of the pods.
    pods: BTreeMap<NodeName, Known>,
    /// When an operator last took back a drain of each.
    let_back: BTreeMap<NodeUid, Duration>,
    /// When each process's last write of the lease that was granted had been begun.
    granted: BTreeMap<String, Duration>,
    /// When the last LIST that each process got had been begun.
    listed: BTreeMap<String, Duration>,
    /// The same of the pods.
    listed_pods: BTreeMap<String, Duration>,
    admitted: BTreeMap<AgentId, Position>,
    live: BTreeMap<AgentId, Position>,
    /// When each process last heard from each agent.
    heard: BTreeMap<(String, AgentId), Duration>,
    pub(crate) counts: Counts,
}

/// A step, as the oracle is told of it.
pub(crate) struct Moment<'a> {
    pub(crate) now: Duration,
    pub(crate) trace: &'a mut Trace,
}

impl Moment<'_> {
    pub(crate) fn note(&mut self, what: fmt::Arguments<'_>) {
        self.trace.note(self.now, what);
    }

    pub(crate) fn accuse(&mut self, invariant: Invariant, detail: fmt::Arguments<'_>) {
        self.trace.accuse(self.now, invariant, detail);
    }
}

impl Oracle {
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        Self {
            listeners,
            log: LogState::default(),
            openers: BTreeMap::new(),
            offers: BTreeMap::new(),
            contents: BTreeMap::new(),
            left_at: BTreeMap::new(),
            healthy_since: BTreeMap::new(),
            pods: BTreeMap::new(),
            let_back: BTreeMap::new(),
            granted: BTreeMap::new(),
            listed: BTreeMap::new(),
            listed_pods: BTreeMap::new(),
            admitted: BTreeMap::new(),
            live: BTreeMap::new(),
            heard: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) const fn log(&self) -> &LogState {
        &self.log
    }
}
