//! Whose log it is: a name belongs to the first Kubernetes cluster that claims it.

use tidegate_core::ids::ClusterName;

use crate::StoreError;

/// Whether the uid still has to be recorded; an error when another one was.
pub(crate) fn check_claim(cluster: &ClusterName, recorded: Option<&str>, offered: &str) -> Result<bool, StoreError> {
    match recorded {
        None => Ok(true),
        Some(theirs) if theirs == offered => Ok(false),
        Some(theirs) => Err(StoreError::OtherCluster {
            cluster: cluster.clone(),
            ours: offered.to_owned(),
            theirs: theirs.to_owned(),
        }),
    }
}
