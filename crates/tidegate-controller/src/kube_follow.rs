//! Pods and EndpointSlices from the Kubernetes API: a consistent LIST, then a watch from that very version on.
//!
//! A watch that begins at the version of a consistent LIST tells everything that came after it, in order: no cache that lags
//! behind can show an older pod (compare decision 9).

mod endpoints;
mod pod;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams, Resource, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use tidegate_core::follow::{Follow, Instance, Target};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::follow_source::{FollowEvent, FollowSource};
use crate::kube_source::client::{bounded, failure};
use crate::retry::Retry;
use crate::source::ApiFailure;

use pod::PodObject;

/// A plain call that takes longer has failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// A watch is renewed this often.
const WATCH_SECONDS: u32 = 60;
/// A watch on which nothing arrives for longer, not even its end, is dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(75);
/// After a server said that it does not know our version any more.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// Objects in one page of a LIST.
const PAGE: u32 = 500;
/// Events that may wait.
const EVENTS: usize = 1024;

/// Follows through a [`kube::Client`].
#[derive(Clone)]
pub struct KubeFollowSource {
    client: kube::Client,
}

impl KubeFollowSource {
    /// With the client that the Nodes are read with
    /// ([`KubeNodeSource::tune`](crate::KubeNodeSource::tune)).
    pub fn new(client: kube::Client) -> Self {
        Self { client: bounded(client, CALL_TIMEOUT) }
    }
}

impl FollowSource for KubeFollowSource {
    fn follow(&self, follow: &Follow, resync: Duration) -> mpsc::Receiver<FollowEvent> {
        let (out, receiver) = mpsc::channel(EVENTS);
        let (client, namespace, name) = (self.client.clone(), &follow.namespace, follow.to_string());
        match &follow.target {
            Target::Pods(selector) => {
                let api = Api::<PodObject>::namespaced(client, namespace);
                tokio::spawn(Session::new(api, selector.to_string(), name, resync, out).run());
            }
            Target::Service(service) => {
                let api = Api::<EndpointSlice>::namespaced(client, namespace);
                let labels = format!("kubernetes.io/service-name={service}");
                tokio::spawn(Session::new(api, labels, name, resync, out).run());
            }
        }
        receiver
    }
}

/// An object that says where pods are.
trait Followed: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned {
    /// What it says; what cannot be understood is left out.
    fn instances(&self) -> Vec<Instance>;
}

struct Session<K> {
    api: Api<K>,
    labels: String,
    /// For the log.
    name: String,
    resync: Duration,
    out: mpsc::Sender<FollowEvent>,
    retry: Retry,
}

/// Why a watch is over.
enum End {
    /// It is time for another LIST, or what came since cannot be told any more.
    List,
    /// Nobody listens any more.
    Unheard,
}

impl<K: Followed + Send + Sync + 'static> Session<K> {
    fn new(api: Api<K>, labels: String, name: String, resync: Duration, out: mpsc::Sender<FollowEvent>) -> Self {
        let retry = Retry::new(Duration::from_millis(200), Duration::from_secs(10));
        Self { api, labels, name, resync, out, retry }
    }

    /// Lists and watches until nobody listens. Every failure is followed by another attempt.
    async fn run(mut self) {
        while !self.out.is_closed() {
            let started = Instant::now();
            match self.list().await {
                Ok((objects, version)) => {
                    self.tell(FollowEvent::Listed { started, objects }).await;
                    if matches!(self.watch(version, started + self.resync).await, End::Unheard) {
                        return;
                    }
                }
                Err(cause) => self.pause(cause).await,
            }
        }
    }

    /// All pages, of one moment, and its version.
    async fn list(&self) -> Result<(BTreeMap<String, Vec<Instance>>, String), ApiFailure> {
        let base = || ListParams::default().labels(&self.labels).limit(PAGE);
        let (mut parameters, mut objects) = (base(), BTreeMap::new());
        loop {
            // No resourceVersion: a consistent read, through the quorum.
            let page = match timeout(CALL_TIMEOUT, self.api.list(&parameters)).await {
                Ok(page) => page.map_err(|error| failure(&error))?,
                Err(_) => return Err(ApiFailure::Timeout { limit: CALL_TIMEOUT }),
            };
            objects.extend(page.items.iter().filter_map(named));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = base().continue_token(&token),
                None => return Ok((objects, page.metadata.resource_version.unwrap_or_default())),
            }
        }
    }

    /// Tells what happens after `version`, over as many watches as it takes.
    async fn watch(&mut self, mut version: String, until: Instant) -> End {
        while Instant::now() < until {
            let parameters = WatchParams::default().labels(&self.labels).timeout(WATCH_SECONDS);
            let stream = match self.api.watch(&parameters, &version).await {
                Ok(stream) => {
                    self.watching().await;
                    stream
                }
                Err(error) => {
                    self.pause(failure(&error)).await;
                    return End::List;
                }
            };
            let mut stream = pin!(stream);
            loop {
                let next = tokio::select! {
                    () = self.out.closed() => return End::Unheard,
                    () = tokio::time::sleep_until(until) => return End::List,
                    next = timeout(SILENCE_LIMIT, stream.next()) => next,
                };
                match next {
                    Ok(Some(Ok(event))) => {
                        let Some(next) = self.take(event).await else {
                            // However soon it forgets the next one: it is not asked in a circle.
                            sleep(FORGOTTEN).await;
                            return End::List;
                        };
                        version = next;
                    }
                    Ok(Some(Err(error))) => {
                        self.pause(failure(&error)).await;
                        return End::List;
                    }
                    // The server ends it when its time is over: the next one goes on from here.
                    Ok(None) => break,
                    Err(_) => return End::List,
                }
            }
        }
        End::List
    }

    /// Takes in an event; answers the version that was arrived at, or nothing when the server has forgotten (410 Gone).
    async fn take(&mut self, event: WatchEvent<K>) -> Option<String> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                if let Some((name, instances)) = named(&object) {
                    self.tell(FollowEvent::Applied { object: name, instances }).await;
                }
                object.meta().resource_version.clone()
            }
            WatchEvent::Deleted(object) => {
                if let Some((name, _)) = named(&object) {
                    self.tell(FollowEvent::Deleted { object: name }).await;
                }
                object.meta().resource_version.clone()
            }
            WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
            WatchEvent::Error(_) => None,
        }
    }

    async fn tell(&self, event: FollowEvent) {
        // When nobody listens, the next turn of the loop ends it.
        drop(self.out.send(event).await);
    }

    async fn watching(&mut self) {
        if self.retry.succeeded() {
            info!(follow = self.name, "what the listeners follow can be watched again");
        }
        self.tell(FollowEvent::Watching).await;
    }

    async fn pause(&mut self, cause: ApiFailure) {
        let wait = self.retry.failed();
        if self.retry.is_first_failure() {
            warn!(follow = self.name, %cause, "what the listeners follow cannot be read; trying again");
        }
        self.tell(FollowEvent::Failed(cause)).await;
        sleep(wait).await;
    }
}

fn named<K: Followed>(object: &K) -> Option<(String, Vec<Instance>)> {
    object.meta().name.clone().map(|name| (name, object.instances()))
}
