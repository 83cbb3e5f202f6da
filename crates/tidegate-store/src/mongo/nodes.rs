//! Collection `nodes`: the read model of the article.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};

use super::connection::{Database, Failure, all};
use super::documents;
use super::failure::is_duplicate;
use crate::repair::RepairPlan;
use crate::{NodeDocument, NodeDocumentId, Repair, StoreError};

/// Operations' names in errors.
pub(super) const WRITE: &str = "write the nodes";
pub(super) const REPAIR: &str = "repair the nodes";

/// More documents than this are compared first and then written together.
const ONE_BY_ONE: usize = 16;

/// How many documents are inserted at once.
const BATCH: usize = 500;

impl Database {
    /// Brings the collection up to date with one commit. Each step is bounded, not the whole: thousands of documents
    /// may take longer than one answer ever should.
    pub(super) async fn write_nodes(
        &self,
        active: &[NodeDocument],
        removed: &[NodeDocumentId],
    ) -> Result<(), StoreError> {
        self.remove(WRITE, removed.iter().map(|id| documents::object_id(id.as_str())).collect()).await?;
        if active.len() <= ONE_BY_ONE {
            return self.replace(WRITE, active.iter()).await;
        }
        let found = self.within(WRITE, self.found()).await?;
        let plan = self.plan(active, &found);
        self.insert(WRITE, &plan.missing).await?;
        self.replace(WRITE, plan.altered.iter().copied()).await
    }

    /// Makes the collection exactly these documents; one that is right is not written to. A document without a cluster
    /// is nobody's, and removed by whoever finds it.
    pub(super) async fn repair_nodes(&self, active: &[NodeDocument]) -> Result<Vec<Repair>, StoreError> {
        let found = self.within(REPAIR, self.found()).await?;
        let plan = self.plan(active, &found);
        let ids = plan.foreign.iter().filter_map(|id| found.get(id)?.get("_id").cloned());
        self.remove(REPAIR, ids.collect()).await?;
        self.insert(REPAIR, &plan.missing).await?;
        self.replace(REPAIR, plan.altered.iter().copied()).await?;
        Ok(plan.repairs)
    }

    fn plan<'a>(&self, active: &'a [NodeDocument], found: &BTreeMap<String, Document>) -> RepairPlan<'a> {
        let node = |document: &Document| document.get_str("node").unwrap_or_default().to_owned();
        RepairPlan::new(active, found, |document| documents::of_node(&self.place, document), node)
    }

    async fn found(&self) -> Result<BTreeMap<String, Document>, Failure> {
        let cluster = self.place.cluster.as_str();
        let ours = doc! { "$or": [{ "cluster": cluster }, { "cluster": { "$exists": false } }] };
        Ok(all(self.nodes.find(ours)).await?.into_iter().map(|document| (id_text(&document), document)).collect())
    }

    async fn remove(&self, what: &'static str, mut ids: Vec<Bson>) -> Result<(), StoreError> {
        // One is found by its key everywhere; FerretDB looks at every document for a list.
        let which = match ids.len() {
            0 => return Ok(()),
            1 => doc! { "_id": ids.pop() },
            _ => doc! { "_id": { "$in": ids } },
        };
        let delete = async { Ok(self.nodes.delete_many(which).await?) };
        self.within(what, delete).await.map(|_| ())
    }

    /// Documents that were not there. What somebody else has written meanwhile is replaced after all.
    async fn insert(&self, what: &'static str, missing: &[&NodeDocument]) -> Result<(), StoreError> {
        if missing.len() <= ONE_BY_ONE {
            return self.replace(what, missing.iter().copied()).await;
        }
        for batch in missing.chunks(BATCH) {
            if !self.within(what, self.insert_batch(batch)).await? {
                self.replace(what, batch.iter().copied()).await?;
            }
        }
        Ok(())
    }

    /// Whether none of them was there.
    async fn insert_batch(&self, batch: &[&NodeDocument]) -> Result<bool, Failure> {
        let new = batch.iter().map(|document| documents::of_node(&self.place, document));
        match self.nodes.insert_many(new).ordered(false).await {
            Err(error) if is_duplicate(&error) => Ok(false),
            outcome => Ok(outcome.map(|_| true)?),
        }
    }

    async fn replace<'a>(
        &self,
        what: &'static str,
        nodes: impl Iterator<Item = &'a NodeDocument>,
    ) -> Result<(), StoreError> {
        for node in nodes {
            let document = documents::of_node(&self.place, node);
            let id = doc! { "_id": documents::object_id(node.id.as_str()) };
            let replace = async { Ok(self.nodes.replace_one(id, document).upsert(true).await.map(drop)?) };
            self.within(what, replace).await?;
        }
        Ok(())
    }
}

/// The `_id` as text; what somebody inserted by hand may have any.
fn id_text(document: &Document) -> String {
    match document.get("_id") {
        Some(Bson::ObjectId(id)) => id.to_hex(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
