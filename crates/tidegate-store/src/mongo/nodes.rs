//! Collection `nodes`: the read model of the article.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};

use super::connection::{Database, Failure, all};
use super::documents;
use crate::repair::RepairPlan;
use crate::{NodeDocument, NodeDocumentId, Repair};

/// More documents than this are compared first and then written together.
const ONE_BY_ONE: usize = 16;

impl Database {
    /// Brings the collection up to date with one commit.
    pub(super) async fn write_nodes(&self, active: &[NodeDocument], removed: &[NodeDocumentId]) -> Result<(), Failure> {
        self.remove(removed.iter().map(|id| documents::object_id(id.as_str())).collect()).await?;
        if active.len() <= ONE_BY_ONE {
            return self.replace(active.iter()).await;
        }
        let found = self.found().await?;
        let plan = self.plan(active, &found);
        self.insert(&plan.missing).await?;
        self.replace(plan.altered.iter().copied()).await
    }

    /// Makes the collection exactly these documents; one that is right is not written to. A document without a cluster
    /// is nobody's, and removed by whoever finds it.
    pub(super) async fn repair_nodes(&self, active: &[NodeDocument]) -> Result<Vec<Repair>, Failure> {
        let found = self.found().await?;
        let plan = self.plan(active, &found);
        let ids = plan.foreign.iter().filter_map(|id| found.get(id)?.get("_id").cloned());
        self.remove(ids.collect()).await?;
        self.insert(&plan.missing).await?;
        self.replace(plan.altered.iter().copied()).await?;
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

    async fn remove(&self, mut ids: Vec<Bson>) -> Result<(), Failure> {
        // One is found by its key everywhere; FerretDB looks at every document for a list.
        match ids.len() {
            0 => {}
            1 => drop(self.nodes.delete_one(doc! { "_id": ids.pop() }).await?),
            _ => drop(self.nodes.delete_many(doc! { "_id": { "$in": ids } }).await?),
        }
        Ok(())
    }

    /// Documents that were not there. One that somebody else has written meanwhile is replaced after all.
    async fn insert(&self, missing: &[&NodeDocument]) -> Result<(), Failure> {
        if missing.len() <= ONE_BY_ONE {
            return self.replace(missing.iter().copied()).await;
        }
        let new = missing.iter().map(|document| documents::of_node(&self.place, document));
        match self.nodes.insert_many(new).ordered(false).await {
            Err(error) if super::failure::is_duplicate(&error) => self.replace(missing.iter().copied()).await,
            outcome => Ok(outcome.map(drop)?),
        }
    }

    async fn replace<'a>(&self, nodes: impl Iterator<Item = &'a NodeDocument>) -> Result<(), Failure> {
        for node in nodes {
            let document = documents::of_node(&self.place, node);
            let id = doc! { "_id": documents::object_id(node.id.as_str()) };
            self.nodes.replace_one(id, document).upsert(true).await?;
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
