//! What can go wrong with a control plane.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Cluster;

/// With the grace flag that we set, SIGTERM ends kube-apiserver after 2.2 s.
const TERMINATES_WITHIN: Duration = Duration::from_secs(30);

impl Cluster {
    /// The API server hangs: watches go silent with their sockets open, new requests get no answer.
    pub fn pause(&self) -> Result<()> {
        self.apiserver.pause()
    }

    pub fn resume(&self) -> Result<()> {
        self.apiserver.resume()
    }

    /// etcd hangs: cached reads still answer, consistent reads and writes time out after 34 to 60 s.
    pub fn pause_etcd(&self) -> Result<()> {
        self.etcd.pause()
    }

    pub fn resume_etcd(&self) -> Result<()> {
        self.etcd.resume()
    }

    /// The API server crashes: every connection is reset, until [`Cluster::start_again`].
    pub fn kill9(&self) -> Result<()> {
        self.apiserver.kill9()?;
        Ok(())
    }

    /// A crash and a restart on the same etcd and port; older resource versions then answer 410.
    pub async fn kill9_and_restart(&self) -> Result<()> {
        self.kill9()?;
        self.start_again().await
    }

    /// An orderly end, as in an upgrade: watches get a clean end of stream.
    pub async fn terminate(&self) -> Result<()> {
        self.apiserver.terminate(TERMINATES_WITHIN).await?;
        Ok(())
    }

    pub async fn start_again(&self) -> Result<()> {
        self.apiserver.restart()?;
        self.wait_ready().await
    }

    /// Stops the node lifecycle controller, so that no condition changes any more.
    pub fn stop_controller_manager(&self) -> Result<()> {
        let manager = self.controller_manager.as_ref();
        manager.context("this cluster runs no controller manager")?.kill9()?;
        Ok(())
    }

    /// Compacts etcd up to now. With `watch_cache: false`, a watch from at least
    /// two changes before answers 410 Gone.
    pub async fn compact(&self) -> Result<i64> {
        let range = self.etcd_post("/v3/kv/range", r#"{"key":"AA==","count_only":true}"#).await?;
        let revision = range.pointer("/header/revision").and_then(serde_json::Value::as_str);
        let revision: i64 = revision.context("etcd gives no revision")?.parse()?;
        let order = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        self.etcd_post("/v3/kv/compaction", &order).await?;
        Ok(revision)
    }
}
