//! What the controller knows of itself, for its API and metrics: written by the loop and by the
//! deliveries, read by anybody at any time.

mod balancer;
mod guards;
mod nodes;
mod outlook;
mod picture;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tidegate_core::ids::ClusterName;
use tidegate_core::status::{ClusterStatus, OverrideStatus, ReplicaStatus};
use tokio::sync::watch;

pub(crate) use balancer::Balancer;
pub(crate) use guards::Starved;
pub(crate) use outlook::{Outlook, outlook};
pub(crate) use picture::{Memory, Picture, Scene, Trouble};

/// Where the latest picture hangs.
#[derive(Debug)]
pub(crate) struct Board {
    cluster: ClusterName,
    /// Why the controller is not ready; empty when it is.
    unready: ArcSwap<String>,
    picture: ArcSwapOption<Picture>,
    balancers: Vec<watch::Receiver<Balancer>>,
    replicas: ArcSwap<Vec<ReplicaStatus>>,
}

impl Board {
    pub(crate) fn new(cluster: ClusterName, balancers: Vec<watch::Receiver<Balancer>>) -> Self {
        let unready = ArcSwap::from_pointee("the store has not been read yet".to_owned());
        Self { cluster, unready, picture: ArcSwapOption::empty(), balancers, replicas: ArcSwap::default() }
    }

    pub(crate) fn set_unready(&self, why: String) {
        self.unready.store(Arc::new(why));
    }

    /// A better reason, if there still is one: being ready once is enough.
    pub(crate) fn still_unready(&self, why: String) {
        if self.problem().is_some() {
            self.set_unready(why);
        }
    }

    pub(crate) fn set_ready(&self) {
        if !self.unready.load().is_empty() {
            self.set_unready(String::new());
        }
    }

    pub(crate) fn hang(&self, picture: Picture) {
        self.picture.store(Some(Arc::new(picture)));
    }

    /// Why the controller is not ready; nothing when it is.
    pub(crate) fn problem(&self) -> Option<String> {
        let why = self.unready.load();
        (!why.is_empty()).then(|| why.to_string())
    }

    pub(crate) fn picture(&self) -> Option<Arc<Picture>> {
        self.picture.load_full()
    }

    pub(crate) fn set_replicas(&self, replicas: Vec<ReplicaStatus>) {
        self.replicas.store(Arc::new(replicas));
    }

    /// The state of each load balancer, in the order of the configuration.
    pub(crate) fn balancers(&self) -> impl Iterator<Item = watch::Ref<'_, Balancer>> {
        self.balancers.iter().map(watch::Receiver::borrow)
    }

    /// Everything; nothing before the term is open.
    pub(crate) fn status(&self) -> Option<ClusterStatus> {
        let picture = self.picture()?;
        let desired = picture.desired();
        Some(ClusterStatus {
            cluster: self.cluster.clone(),
            leader: picture.leader.clone(),
            desired,
            frozen: picture.frozen.clone(),
            nodes: picture.nodes.clone(),
            load_balancers: self.balancers().map(|b| b.status(desired)).collect(),
            guards: picture.guards.clone(),
            overrides: picture
                .overrides
                .iter()
                .map(|(guard, order)| OverrideStatus { guard, order: order.clone() })
                .collect(),
            follows: picture.follows.clone(),
            replicas: self.replicas.load().to_vec(),
            finalizers: picture.finalizers.clone(),
        })
    }
}
