//! The rights of `tidegate` in the cluster: those that `deploy/` gives, and no others.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::manifests;

/// The user that `deploy/rbac.yaml` binds, the ServiceAccount of `deploy/kubernetes`, and its namespace.
const NAME: &str = "tidegate";

/// As whom `tidegate` talks to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rights {
    /// The user of `deploy/rbac.yaml`: a controller outside the cluster.
    #[default]
    User,
    /// The ServiceAccount of `deploy/kubernetes`: a controller in a pod.
    ServiceAccount,
}

impl Rights {
    /// Applies the shipped manifests and gives a kubeconfig of whom they bind.
    pub(super) async fn grant(self, cluster: &Cluster) -> Result<PathBuf> {
        let (client, deploy) = (cluster.client().await?, manifests::deploy_folder());
        match self {
            Self::User => {
                let objects = manifests::read_file(&deploy.join("rbac.yaml"))?;
                manifests::apply(&client, &objects).await.context("applying deploy/rbac.yaml")?;
                cluster.kubeconfig_for(NAME, None)
            }
            Self::ServiceAccount => {
                let objects = manifests::read_folder(&deploy.join("kubernetes"))?;
                manifests::apply(&client, &objects).await.context("applying deploy/kubernetes")?;
                cluster.service_account_kubeconfig(NAME, NAME).await
            }
        }
    }
}
