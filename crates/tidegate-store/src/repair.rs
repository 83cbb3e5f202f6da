//! What differs between the read model and the log, worked out once for every backend.

use std::collections::BTreeMap;
use std::fmt;

use crate::NodeDocument;

/// What was wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RepairKind {
    /// An active node had none.
    Missing,
    /// It said something else than the log.
    Altered,
    /// It was of no active node.
    Foreign,
}

/// One document that had to be put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What was wrong.
    pub kind: RepairKind,
    /// The document's `_id`.
    pub id: String,
    /// The node's name, as far as the document has one.
    pub node: String,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            RepairKind::Missing => "was missing and is written again",
            RepairKind::Altered => "had been altered and is written again",
            RepairKind::Foreign => "is of no active node and is removed",
        };
        if self.node.is_empty() {
            return write!(f, "document {} {what}", self.id);
        }
        write!(f, "document {} of node {} {what}", self.id, self.node)
    }
}

/// What has to be written so that the read model is exactly the active nodes.
#[derive(Debug, Default)]
pub(crate) struct RepairPlan<'a> {
    pub(crate) missing: Vec<&'a NodeDocument>,
    pub(crate) altered: Vec<&'a NodeDocument>,
    /// Keys of `found`.
    pub(crate) foreign: Vec<String>,
    pub(crate) repairs: Vec<Repair>,
}

impl<'a> RepairPlan<'a> {
    /// Compares what was found, by the text of its `_id`, with what should be there. `shape` gives a document the form
    /// that is read back; `name` finds the node's name in it.
    pub(crate) fn new<V: PartialEq>(
        active: &'a [NodeDocument],
        found: &BTreeMap<String, V>,
        shape: impl Fn(&NodeDocument) -> V,
        name: impl Fn(&V) -> String,
    ) -> Self {
        let mut plan = Self::default();
        let mut unseen: BTreeMap<&str, &V> = found.iter().map(|(id, value)| (id.as_str(), value)).collect();
        for document in active {
            match unseen.remove(document.id.as_str()) {
                Some(value) if *value == shape(document) => {}
                Some(_) => plan.write(RepairKind::Altered, document),
                None => plan.write(RepairKind::Missing, document),
            }
        }
        for (id, value) in unseen {
            plan.foreign.push(id.to_owned());
            plan.repairs.push(Repair { kind: RepairKind::Foreign, id: id.to_owned(), node: name(value) });
        }
        plan
    }

    fn write(&mut self, kind: RepairKind, document: &'a NodeDocument) {
        let list = if kind == RepairKind::Missing { &mut self.missing } else { &mut self.altered };
        list.push(document);
        self.repairs.push(Repair { kind, id: document.id.to_string(), node: document.node.to_string() });
    }
}
