//! Many nodes at once, for tests of scale: no heartbeats, since 5,000 of them cost a core.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::object;

/// 950 POST/s and 750 PATCH/s were seen with this; more does not help on two cores.
const IN_FLIGHT: usize = 8;

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

impl Bulk {
    /// Creates `count` Ready nodes `<prefix>-0...` with addresses from 10.128.0.0/9.
    pub async fn create(client: Client, prefix: &str, count: u32, labels: BTreeMap<String, String>) -> Result<Self> {
        let nodes = Api::<Node>::all(client);
        let mut labels = labels;
        labels.insert("tidegate.io/testbed-bulk".to_owned(), prefix.to_owned());
        let members = (0..count).map(|index| BulkNode { name: format!("{prefix}-{index}"), address: address(index) });
        let bulk = Self { nodes, prefix: prefix.to_owned(), members: members.collect() };
        let (nodes, labels) = (&bulk.nodes, &labels);
        bulk.for_all(bulk.members.len(), |node| async move {
            let created = create(nodes, node, labels).await;
            created.with_context(|| format!("creating {}", node.name))
        })
        .await?;
        Ok(bulk)
    }

    pub fn members(&self) -> &[BulkNode] {
        &self.members
    }

    /// Sets Ready on the first `count` nodes.
    pub async fn set_ready(&self, count: usize, ready: bool) -> Result<()> {
        let status = if ready { "True" } else { "False" };
        let condition = object::condition("Ready", status, "Bulk", "set by the testbed");
        let patch = &json!({ "status": { "conditions": [condition] } });
        let patch = &Patch::Strategic(patch);
        self.for_all(count, |node| async move {
            self.nodes.patch_status(&node.name, &PatchParams::default(), patch).await?;
            Ok(())
        })
        .await
    }

    /// Deletes the whole set in one request.
    pub async fn delete(self) -> Result<()> {
        let selector = format!("tidegate.io/testbed-bulk={}", self.prefix);
        let which = ListParams::default().labels(&selector);
        self.nodes.delete_collection(&DeleteParams::default(), &which).await?;
        Ok(())
    }

    async fn for_all<'a, P>(&'a self, count: usize, work: impl Fn(&'a BulkNode) -> P) -> Result<()>
    where
        P: Future<Output = Result<()>>,
    {
        let all = stream::iter(self.members.iter().take(count)).map(work).buffer_unordered(IN_FLIGHT);
        all.try_collect().await
    }
}

async fn create(nodes: &Api<Node>, node: &BulkNode, labels: &BTreeMap<String, String>) -> kube::Result<()> {
    nodes.create(&PostParams::default(), &object::node(&node.name, labels)).await?;
    let status = json!({ "status": object::status(&[node.address]) });
    nodes.patch_status(&node.name, &PatchParams::default(), &Patch::Strategic(status)).await?;
    Ok(())
}

fn address(index: u32) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(10, 128, 0, 1));
    Ipv4Addr::from(first.wrapping_add(index)).into()
}
