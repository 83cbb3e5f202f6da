//! The cluster, reached as soon as its credentials can be read.
//!
//! A controller must come up and keep serving what it recorded even when the kubeconfig is not there
//! yet or is being replaced: so the client is made when it is first needed, and tried again.

mod election;
mod follow;
mod nodes;
mod writer;

pub use election::LateLease;
pub use follow::LateFollowSource;
pub use nodes::LateNodeSource;
pub use writer::LateNodeWriter;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tidegate_controller::{ApiFailure, KubeNodeSource};
use tidegate_core::backoff::Backoff;
use tokio::sync::{OnceCell, mpsc};

/// A connection that is not there after this long will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Words that may wait while they are handed on.
const WAITING: usize = 64;
/// Files are put in place by people and tools: look again soon, then less often.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), limit: Duration::from_secs(10) };

/// A cluster whose credentials may come later.
#[derive(Clone)]
pub struct Cluster {
    kubeconfig: Option<PathBuf>,
    client: Arc<OnceCell<kube::Client>>,
}

impl Cluster {
    /// Credentials from this file, or from where the environment says.
    pub fn new(kubeconfig: Option<PathBuf>) -> Self {
        Self { kubeconfig, client: Arc::default() }
    }

    /// The client: one for everything that is said to this cluster.
    pub async fn client(&self) -> Result<kube::Client, ApiFailure> {
        let client = self.client.get_or_try_init(|| connect(self.kubeconfig.as_deref())).await;
        client.cloned().map_err(|error| ApiFailure::Credentials { detail: format!("{error:#}") })
    }

    /// The client, if there is one already.
    fn connected(&self) -> Option<kube::Client> {
        self.client.get().cloned()
    }

    /// Listens to `start` as soon as there is a client, until nobody listens any more.
    fn listen<T: Send + 'static>(
        &self,
        start: impl FnOnce(kube::Client) -> mpsc::Receiver<T> + Send + 'static,
    ) -> mpsc::Receiver<T> {
        if let Some(client) = self.connected() {
            return start(client);
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let this = self.clone();
        tokio::spawn(async move {
            let Some(client) = this.wait(&sender).await else { return };
            let mut words = start(client);
            while let Some(word) = words.recv().await {
                if sender.send(word).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    /// The client, however long it takes; nothing once nobody listens any more.
    async fn wait<T>(&self, listener: &mpsc::Sender<T>) -> Option<kube::Client> {
        let mut failures = 0_u32;
        loop {
            match self.client().await {
                Ok(client) => return Some(client),
                // The controller, which lists the nodes with the same credentials, has said so.
                Err(error) => tracing::debug!(%error, "the cluster cannot be watched yet"),
            }
            failures = failures.saturating_add(1);
            tokio::select! {
                () = tokio::time::sleep(BACKOFF.delay(failures)) => {}
                () = listener.closed() => return None,
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
    use tidegate_controller::NodeSource as _;
    use tidegate_core::policy::NodePolicy;

    use super::*;

    #[tokio::test]
    async fn credentials_that_come_later_are_used_without_a_restart() {
        crate::tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let source = LateNodeSource::new(Cluster::new(Some(path.clone())), NodePolicy::default());
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
