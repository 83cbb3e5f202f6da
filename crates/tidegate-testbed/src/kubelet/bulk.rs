//! Many nodes at once, for tests of scale: no heartbeats, since 5,000 of them cost a core.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::object;
use crate::deadline;

/// 950 POST/s and 750 PATCH/s were seen with this; more does not help on two cores.
const IN_FLIGHT: usize = 8;
/// Its value is the prefix of the set.
const LABEL: &str = "tidegate.io/testbed-bulk";
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A node of a bulk set.
#[derive(Debug, Clone)]
pub struct BulkNode {
    pub name: String,
    pub address: IpAddr,
}

/// A set of nodes that only exist in the API.
#[derive(Debug)]
pub struct Bulk {
    nodes: Api<Node>,
    prefix: String,
    members: Vec<BulkNode>,
}

/// How much a Node object says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 3 KB of JSON: a node that runs nothing.
    Slim,
    /// 17 KB: with the images of a node that has worked for a while, as many as a kubelet reports unless told otherwise.
    Fat,
}

impl Bulk {
    /// Creates `count` Ready nodes `<prefix>-0...` with addresses from 10.128.0.0/9.
    pub async fn create(client: Client, prefix: &str, count: u32, size: Size) -> Result<Self> {
        let nodes = Api::<Node>::all(client);
        let labels = &BTreeMap::from([(LABEL.to_owned(), prefix.to_owned())]);
        let members = (0..count).map(|index| BulkNode { name: format!("{prefix}-{index}"), address: address(index) });
        let bulk = Self { nodes, prefix: prefix.to_owned(), members: members.collect() };
        let nodes = &bulk.nodes;
        each(&bulk.members, |node| async move {
            let created = create(nodes, node, labels, size).await;
            created.with_context(|| format!("creating {}", node.name))
        })
        .await?;
        Ok(bulk)
    }

    pub fn members(&self) -> &[BulkNode] {
        &self.members
    }

    /// Sets Ready on these nodes, as fast as the API server takes it.
    pub async fn set_ready(&self, members: &[BulkNode], ready: bool) -> Result<()> {
        let status = if ready { "True" } else { "False" };
        let condition = object::condition("Ready", status, "Bulk", "set by the testbed");
        let patch = &Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
        each(members, |node| async move {
            self.nodes.patch_status(&node.name, &PatchParams::default(), patch).await?;
            Ok(())
        })
        .await
    }

    /// Sets a label of these nodes, or takes it off, as fast as the API server takes it.
    pub async fn label(&self, members: &[BulkNode], key: &str, value: Option<&str>) -> Result<()> {
        let patch = &Patch::Merge(json!({ "metadata": { "labels": { key: value } } }));
        each(members, |node| async move {
            self.nodes.patch_metadata(&node.name, &PatchParams::default(), patch).await?;
            Ok(())
        })
        .await
    }

    /// Waits until every node carries this finalizer.
    pub async fn wait_held(&self, finalizer: &str, limit: Duration) -> Result<()> {
        let which = &self.which();
        let held = |meta: &ObjectMeta| meta.finalizers.iter().flatten().any(|name| name == finalizer);
        deadline::until("finalizers on every node", limit, || async {
            // Thousands of answers: the API server has patches to take meanwhile.
            tokio::time::sleep(LOOK_EVERY).await;
            let found = self.nodes.list_metadata(which).await.ok()?;
            (found.items.iter().filter(|node| held(&node.metadata)).count() == self.members.len()).then_some(())
        })
        .await
    }

    /// Bytes of one of the nodes as JSON, as the API server sends it.
    pub async fn bytes_of_one(&self) -> Result<usize> {
        let one = self.members.first().context("there is no node")?;
        Ok(serde_json::to_vec(&self.nodes.get(&one.name).await?)?.len())
    }

    /// Deletes the whole set in one request.
    pub async fn delete(self) -> Result<()> {
        self.nodes.delete_collection(&DeleteParams::default(), &self.which()).await?;
        Ok(())
    }

    /// Selects the whole set.
    fn which(&self) -> ListParams {
        ListParams::default().labels(&format!("{LABEL}={}", self.prefix))
    }
}

async fn each<'a, P>(members: &'a [BulkNode], work: impl Fn(&'a BulkNode) -> P) -> Result<()>
where
    P: Future<Output = Result<()>>,
{
    stream::iter(members).map(work).buffer_unordered(IN_FLIGHT).try_collect().await
}

async fn create(nodes: &Api<Node>, node: &BulkNode, labels: &BTreeMap<String, String>, size: Size) -> kube::Result<()> {
    nodes.create(&PostParams::default(), &object::node(&node.name, labels)).await?;
    let patch = |status: serde_json::Value| Patch::Strategic(json!({ "status": status }));
    let status = patch(object::status(&[node.address]));
    nodes.patch_status(&node.name, &PatchParams::default(), &status).await?;
    if size == Size::Fat {
        let images = patch(json!({ "images": object::images(&node.name) }));
        nodes.patch_status(&node.name, &PatchParams::default(), &images).await?;
    }
    Ok(())
}

fn address(index: u32) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(10, 128, 0, 1));
    Ipv4Addr::from(first.wrapping_add(index)).into()
}
