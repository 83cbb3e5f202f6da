//! Nodes from the Kubernetes API, trimmed to what decisions use as soon as they arrive.

pub(crate) mod client;
mod object;
mod trim;
mod watch;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kube::Api;
use kube::api::ListParams;
use tidegate_core::ids::NodeName;
use tidegate_core::node::Node;
use tokio::sync::mpsc;

use crate::clock::{Clock, SystemClock};
use crate::source::{ApiFailure, NodeSource, Observation, SourceError};

pub use object::NodeObject;

use client::{bounded, failure};
use trim::Trimmer;

/// A plain call that takes longer has failed: kube 5 itself would wait for ever.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// A watch that is alive sends a bookmark or ends within 60 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(75);
/// Nodes in one page of a LIST, which kube holds as it came, in one piece and as text at the same time before it is read:
/// a few MB each, trimmed before the next page is asked for.
const PAGE: u32 = 500;
/// Events that may wait: a burst on all nodes of a large cluster.
const EVENTS: usize = 1024;

/// Reads Nodes through a [`kube::Client`].
#[derive(Clone)]
pub struct KubeNodeSource {
    api: Api<NodeObject>,
    trimmer: Arc<Trimmer>,
}

impl KubeNodeSource {
    /// Of each node, only labels with these keys are kept
    /// ([`NodePolicy::label_keys`](tidegate_core::policy::NodePolicy::label_keys)).
    pub fn new<K: Into<String>>(client: kube::Client, label_keys: impl IntoIterator<Item = K>) -> Self {
        let keys: BTreeSet<String> = label_keys.into_iter().map(Into::into).collect();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let api = Api::all(bounded(client, CALL_TIMEOUT));
        Self { api, trimmer: Arc::new(Trimmer::new(keys, clock)) }
    }

    /// Sets what this source expects of its client: failures are told at once instead of being retried
    /// out of sight, and a connection on which nothing arrives for longer than a watch lasts is dead.
    pub fn tune(config: &mut kube::Config) {
        config.default_retry = false;
        config.read_timeout = Some(SILENCE_LIMIT);
        config.reset_reader_on_write = true;
    }

    async fn list_pages(&self) -> Result<Vec<Node>, ApiFailure> {
        // No resourceVersion: a consistent read, through the quorum. All pages are of one moment.
        let mut parameters = ListParams::default().limit(PAGE);
        let mut nodes = Vec::new();
        loop {
            let page = in_time(self.api.list(&parameters)).await?;
            nodes.extend(page.items.iter().filter_map(|object| self.trimmer.trim(object)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = ListParams::default().limit(PAGE).continue_token(&token),
                None => return Ok(nodes),
            }
        }
    }
}

#[async_trait]
impl NodeSource for KubeNodeSource {
    async fn list(&self) -> Result<Vec<Node>, SourceError> {
        self.list_pages().await.map_err(|cause| SourceError::List { cause })
    }

    async fn get(&self, name: &NodeName) -> Result<Option<Node>, SourceError> {
        let failed = |cause| SourceError::Get { node: name.clone(), cause };
        let Some(object) = in_time(self.api.get_opt(name.as_str())).await.map_err(failed)? else { return Ok(None) };
        // An object that cannot be used exists all the same: it must not count as gone.
        let unusable =
            || ApiFailure::Answered { code: 200, message: "the object has no usable name or uid".to_owned() };
        self.trimmer.trim(&object).map(Some).ok_or_else(unusable).map_err(failed)
    }

    fn watch(&self) -> mpsc::Receiver<Observation> {
        let (sender, receiver) = mpsc::channel(EVENTS);
        tokio::spawn(watch::run(self.api.clone(), self.trimmer.clone(), sender));
        receiver
    }
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiFailure> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(result) => result.map_err(|error| failure(&error)),
        Err(_) => Err(ApiFailure::Timeout { limit: CALL_TIMEOUT }),
    }
}
