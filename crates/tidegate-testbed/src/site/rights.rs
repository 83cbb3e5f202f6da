//! The rights of `tidegate` in the cluster: those of `deploy/rbac.yaml`, and no others.

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::cluster::Cluster;

const MANIFEST: &str = include_str!("../../../../deploy/rbac.yaml");
/// The user that the manifest binds.
const USER: &str = "tidegate";

/// Applies the shipped manifest and gives a kubeconfig of its user.
pub(super) async fn grant(cluster: &Cluster) -> Result<PathBuf> {
    let client = cluster.client().await?;
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(MANIFEST).context("deploy/rbac.yaml")?;
    for document in documents {
        apply(&client, document).await.context("applying deploy/rbac.yaml")?;
    }
    cluster.kubeconfig_for(USER, None)
}

async fn apply(client: &Client, document: serde_json::Value) -> Result<()> {
    let (all, post) = (client.clone(), PostParams::default());
    match document.get("kind").and_then(serde_json::Value::as_str) {
        Some("ClusterRole") => {
            drop(Api::<ClusterRole>::all(all).create(&post, &serde_json::from_value(document)?).await?);
        }
        Some("ClusterRoleBinding") => {
            drop(Api::<ClusterRoleBinding>::all(all).create(&post, &serde_json::from_value(document)?).await?);
        }
        other => anyhow::bail!("a document of kind {other:?} is not expected"),
    }
    Ok(())
}
