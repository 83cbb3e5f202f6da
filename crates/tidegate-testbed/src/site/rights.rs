//! The rights of `tidegate` in the cluster: those of `deploy/rbac.yaml`, and no others.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::manifests;

/// The user that the manifest binds.
const USER: &str = "tidegate";

/// Applies the shipped manifest and gives a kubeconfig of its user.
pub(super) async fn grant(cluster: &Cluster) -> Result<PathBuf> {
    let objects = manifests::read_file(&manifests::deploy_folder().join("rbac.yaml"))?;
    manifests::apply(&cluster.client().await?, &objects).await.context("applying deploy/rbac.yaml")?;
    cluster.kubeconfig_for(USER, None)
}
