//! The Lease of the election, and those of the replicas, on the Kubernetes API.

mod object;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use tidegate_core::lease::{LeaseRecord, LeaseWrite, SeenLease};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::debug;

use crate::kube_source::client::{bounded, failure};
use crate::lease_client::LeaseClient;
use crate::source::ApiFailure;

use object::{replica_name, to_object, to_record};

/// Label of the Lease of one replica; its value is the name of the Lease that it stands for.
pub const REPLICA_LABEL: &str = "tidegate.io/replica-of";

/// A call that takes longer has failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A watch is renewed this often.
const WATCH_SECONDS: u32 = 60;
/// Between a watch that failed and the next one: the Lease is looked at every few seconds anyhow.
const WATCH_PAUSE: Duration = Duration::from_secs(2);
/// A replica whose Lease somebody else changed meanwhile reads it again this often.
const TRIES: usize = 3;

/// The Lease of an election. Needs get, list, watch, create, update and delete on leases of its namespace.
#[derive(Clone)]
pub struct KubeLease {
    api: Api<Lease>,
    name: String,
}

impl KubeLease {
    /// The Lease `name` in `namespace` (`leaderElection.lease`, `leaderElection.namespace`).
    pub fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(bounded(client, CALL_TIMEOUT), namespace), name: name.to_owned() }
    }

    /// Deletes the Lease of the election and those of all replicas (`tidegate uninstall`); answers their names.
    pub async fn delete_all(&self) -> Result<Vec<String>, ApiFailure> {
        let mut names: Vec<String> = self.list().await?.iter().map(ResourceExt::name_any).collect();
        names.push(self.name.clone());
        let mut deleted = Vec::new();
        for name in names {
            if self.delete(&name, None).await? {
                deleted.push(name);
            }
        }
        Ok(deleted)
    }

    async fn list(&self) -> Result<Vec<Lease>, ApiFailure> {
        let ours = ListParams::default().labels(&format!("{REPLICA_LABEL}={}", self.name));
        self.api.list(&ours).await.map(|list| list.items).map_err(|error| failure(&error))
    }

    /// Whether there was one to delete, of this version when one is named.
    async fn delete(&self, name: &str, version: Option<String>) -> Result<bool, ApiFailure> {
        let preconditions = version.map(|version| Preconditions { resource_version: Some(version), uid: None });
        match self.api.delete(name, &DeleteParams { preconditions, ..DeleteParams::default() }).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(failure(&error)),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Lease>, ApiFailure> {
        self.api.get_opt(name).await.map_err(|error| failure(&error))
    }

    /// Creates or replaces; none when somebody else wrote first.
    async fn put(&self, object: &Lease) -> Result<Option<Lease>, ApiFailure> {
        let written = if object.metadata.resource_version.is_some() {
            self.api.replace(&object.name_any(), &PostParams::default(), object).await
        } else {
            self.api.create(&PostParams::default(), object).await
        };
        match written {
            Ok(written) => Ok(Some(written)),
            // Replacing what was deleted meanwhile answers 404; another one of that name has another version.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 && object.metadata.resource_version.is_some() => {
                Ok(None)
            }
            Err(error) => Err(failure(&error)),
        }
    }
}

#[async_trait]
impl LeaseClient for KubeLease {
    async fn read(&self) -> Result<Option<SeenLease>, ApiFailure> {
        let Some(object) = self.get(&self.name).await? else { return Ok(None) };
        let version = object.resource_version().unwrap_or_default();
        Ok(Some(SeenLease { record: to_record(&object), version }))
    }

    async fn write(&self, record: &LeaseRecord, version: Option<&str>) -> Result<LeaseWrite, ApiFailure> {
        let mut object = to_object(&self.name, record);
        object.metadata.resource_version = version.map(str::to_owned);
        Ok(match self.put(&object).await? {
            Some(written) => LeaseWrite::Done(written.resource_version().unwrap_or_default()),
            None => LeaseWrite::Conflict,
        })
    }

    fn vacancies(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(watch_vacancies(self.api.clone(), self.name.clone(), sender));
        receiver
    }

    async fn announce(&self, holder: &str, at: Timestamp) -> Result<(), ApiFailure> {
        let name = replica_name(&self.name, holder);
        let record = LeaseRecord {
            holder: Some(holder.to_owned()),
            duration: Duration::from_secs(30),
            acquired: None,
            renewed: Some(at),
            transitions: 0,
        };
        for _ in 0..TRIES {
            let mut object = to_object(&name, &record);
            object.metadata.labels = Some(BTreeMap::from([(REPLICA_LABEL.to_owned(), self.name.clone())]));
            object.metadata.resource_version = self.get(&name).await?.and_then(|found| found.resource_version());
            if self.put(&object).await?.is_some() {
                return Ok(());
            }
        }
        debug!(name, "somebody else keeps writing to the Lease of this replica");
        Ok(())
    }

    async fn replicas(&self) -> Result<Vec<(String, Timestamp)>, ApiFailure> {
        let records = self.list().await?;
        let records = records.iter().map(to_record);
        Ok(records.filter_map(|record| Some((record.holder?, record.renewed?))).collect())
    }

    async fn withdraw(&self, holder: &str) -> Result<(), ApiFailure> {
        let name = replica_name(&self.name, holder);
        let Some(found) = self.get(&name).await? else { return Ok(()) };
        // A process that was restarted in the same pod has the same name and goes on.
        if to_record(&found).holder.as_deref() == Some(holder) {
            self.delete(&name, found.resource_version()).await?;
        }
        Ok(())
    }
}

/// Says a word whenever nobody holds the Lease, until nobody listens.
async fn watch_vacancies(api: Api<Lease>, name: String, out: mpsc::Sender<()>) {
    let config = watcher::Config::default().timeout(WATCH_SECONDS).fields(&format!("metadata.name={name}"));
    let mut events = Box::pin(watcher(api, config));
    loop {
        let event = tokio::select! {
            biased;
            () = out.closed() => return,
            event = events.next() => event,
        };
        let vacant = match event {
            Some(Ok(Event::Apply(lease) | Event::InitApply(lease))) => to_record(&lease).holder.is_none(),
            Some(Ok(Event::Delete(_))) => true,
            Some(Ok(Event::Init | Event::InitDone)) => false,
            Some(Err(error)) => {
                debug!(%error, "the watch of the Lease failed; it is looked at every few seconds meanwhile");
                sleep(WATCH_PAUSE).await;
                false
            }
            None => return,
        };
        if vacant {
            // One word that waits says as much as two.
            let _ = out.try_send(());
        }
    }
}
