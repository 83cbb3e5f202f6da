//! What listeners follow in a cluster whose credentials may come later.

use std::time::Duration;

use tidegate_controller::{FollowEvent, FollowSource, KubeFollowSource};
use tidegate_core::follow::Follow;
use tokio::sync::mpsc;

use super::Cluster;

/// Follows as soon as there is a client.
pub struct LateFollowSource(Cluster);

impl LateFollowSource {
    /// In this cluster.
    pub const fn new(cluster: Cluster) -> Self {
        Self(cluster)
    }
}

impl FollowSource for LateFollowSource {
    fn follow(&self, follow: &Follow, resync: Duration) -> mpsc::Receiver<FollowEvent> {
        let follow = follow.clone();
        self.0.listen(move |client| KubeFollowSource::new(client).follow(&follow, resync))
    }
}
