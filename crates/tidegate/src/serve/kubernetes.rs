//! The cluster, reached as soon as its credentials can be read.
//!
//! A controller must come up and keep serving what it recorded even when the kubeconfig is not there
//! yet or is being replaced: so the client is made when it is first needed, and tried again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tidegate_controller::{ApiFailure, KubeNodeSource, NodeSource, Observation, SourceError};
use tidegate_core::backoff::Backoff;
use tidegate_core::ids::NodeName;
use tidegate_core::node::Node;
use tidegate_core::policy::NodePolicy;
use tokio::sync::{OnceCell, mpsc};

/// A connection that is not there after this long will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Observations that may wait while they are handed on.
const WAITING: usize = 64;
/// Files are put in place by people and tools: look again soon, then less often.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), limit: Duration::from_secs(10) };

/// The nodes of a cluster whose credentials may come later.
#[derive(Clone)]
pub struct LateNodeSource {
    shared: Arc<Shared>,
}

struct Shared {
    kubeconfig: Option<PathBuf>,
    policy: NodePolicy,
    source: OnceCell<KubeNodeSource>,
}

impl LateNodeSource {
    /// Credentials from this file, or from where the environment says.
    pub fn new(kubeconfig: Option<PathBuf>, policy: NodePolicy) -> Self {
        Self { shared: Arc::new(Shared { kubeconfig, policy, source: OnceCell::new() }) }
    }

    async fn source(&self) -> Result<&KubeNodeSource, ApiFailure> {
        let Shared { kubeconfig, policy, source } = &*self.shared;
        source
            .get_or_try_init(async || {
                let client = connect(kubeconfig.as_deref()).await?;
                Ok(KubeNodeSource::new(client, policy.label_keys()))
            })
            .await
            .map_err(|error: anyhow::Error| ApiFailure::Credentials { detail: format!("{error:#}") })
    }
}

#[async_trait]
impl NodeSource for LateNodeSource {
    async fn list(&self) -> Result<Vec<Node>, SourceError> {
        self.source().await.map_err(|cause| SourceError::List { cause })?.list().await
    }

    async fn get(&self, name: &NodeName) -> Result<Option<Node>, SourceError> {
        self.source().await.map_err(|cause| SourceError::Get { node: name.clone(), cause })?.get(name).await
    }

    fn watch(&self) -> mpsc::Receiver<Observation> {
        if let Some(source) = self.shared.source.get() {
            return source.watch();
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let this = self.clone();
        tokio::spawn(async move { this.hand_on(sender).await });
        receiver
    }
}

impl LateNodeSource {
    /// Watches as soon as it can, until nobody listens any more.
    async fn hand_on(&self, sender: mpsc::Sender<Observation>) {
        let mut failures = 0_u32;
        let source = loop {
            match self.source().await {
                Ok(source) => break source,
                // The controller, which lists the nodes with the same credentials, has said so.
                Err(error) => tracing::debug!(%error, "the nodes cannot be watched yet"),
            }
            failures = failures.saturating_add(1);
            tokio::select! {
                () = tokio::time::sleep(BACKOFF.delay(failures)) => {}
                () = sender.closed() => return,
            }
        };
        let mut observations = source.watch();
        while let Some(observation) = observations.recv().await {
            if sender.send(observation).await.is_err() {
                return;
            }
        }
    }
}

/// A client from the file; else from the pod's service account; else from `$KUBECONFIG` or `~/.kube/config`.
async fn connect(kubeconfig: Option<&Path>) -> anyhow::Result<kube::Client> {
    let mut config = match kubeconfig {
        Some(path) => from_file(path).await?,
        None if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => kube::Config::incluster()
            .map_err(|error| anyhow!("the service account of this pod cannot be used: {error}"))?,
        None => from_environment().await?,
    };
    KubeNodeSource::tune(&mut config);
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    kube::Client::try_from(config).map_err(|error| anyhow!("the client of the Kubernetes API: {error}"))
}

// The errors of kube name their source themselves, so a chain would say everything twice.
async fn from_file(path: &Path) -> anyhow::Result<kube::Config> {
    let wrong = |error: &dyn std::fmt::Display| anyhow!("kubeconfig {} cannot be used: {error}", path.display());
    if !path.exists() {
        return Err(wrong(&"there is no such file"));
    }
    let file = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
    kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(|error| wrong(&error))
}

async fn from_environment() -> anyhow::Result<kube::Config> {
    let wrong = |error| {
        anyhow!(
            "neither cluster.kubeconfig is set nor is this a pod, and $KUBECONFIG or ~/.kube/config cannot be used: {error}"
        )
    };
    let file = Kubeconfig::read().map_err(wrong)?;
    kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credentials_that_come_later_are_used_without_a_restart() {
        crate::tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let source = LateNodeSource::new(Some(path.clone()), NodePolicy::default());
        let missing = source.list().await.unwrap_err().to_string();
        assert!(missing.contains(&path.display().to_string()) && missing.contains("no such file"), "{missing}");
        std::fs::write(&path, "clusters: {").unwrap();
        let broken = source.list().await.unwrap_err().to_string();
        assert!(broken.contains("cannot be used") && !broken.contains("no such file"), "{broken}");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let good = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\n\
             clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n"
        );
        std::fs::write(&path, good).unwrap();
        let refused = source.list().await.unwrap_err().to_string();
        assert!(!refused.contains("kubeconfig"), "now the network speaks: {refused}");
    }
}
