//! Rename the file of endpoints, and ask until its version is there.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use fs_err as fs;
use tidegate_testbed::process::Process;
use tidegate_testbed::servers;

use super::{Bare, PORT, ask, until};

const VERSION: &str =
    "GET /stats?filter=%5Ecluster%5C.http%5C.version_text HTTP/1.1\r\nHost: floor\r\nConnection: close\r\n\r\n";

pub struct Envoy {
    bare: Bare,
    version: AtomicU64,
    _process: Process,
}

impl Envoy {
    pub(super) async fn start(bare: Bare) -> Result<Self> {
        fs::create_dir_all(bare.folder.join("floor-eds"))?;
        fs::write(bare.file("floor-eds/http.json"), endpoints(0, &bare.backends))?;
        let config = bare.file("floor.json");
        fs::write(&config, bootstrap(&bare))?;
        let binary = servers::ensure_envoy()?.display().to_string();
        let argv = [&binary, "-c", &config, "--use-dynamic-base-id", "--concurrency", "2", "-l", "error"];
        let process = bare.host.spawn("floor envoy", &argv, bare.folder.join("floor.log"))?;
        let floor = Self { bare, version: AtomicU64::new(1), _process: process };
        until("started", async || Ok(floor.serves(0).await.unwrap_or(false))).await?;
        Ok(floor)
    }

    pub(super) async fn change(&self, present: bool) -> Result<()> {
        let version = self.version.fetch_add(1, Ordering::Relaxed);
        let (new, live) = (self.bare.file("floor-eds/new"), self.bare.file("floor-eds/http.json"));
        fs::write(&new, endpoints(version, self.bare.shown(present)))?;
        fs::rename(new, live)?;
        until("the new version", async || self.serves(version).await).await
    }

    async fn serves(&self, version: u64) -> Result<bool> {
        let answer = ask(&self.bare.file("floor-admin.sock"), VERSION, false).await?;
        Ok(answer.contains(&format!("\"v{version}\"")))
    }
}

fn endpoints(version: u64, backends: &[SocketAddr]) -> String {
    let endpoint = |backend: &SocketAddr| {
        let (address, port) = (backend.ip(), backend.port());
        format!(r#"{{"endpoint":{{"address":{{"socket_address":{{"address":"{address}","port_value":{port}}}}}}}}}"#)
    };
    let all: Vec<String> = backends.iter().map(endpoint).collect();
    format!(
        r#"{{"version_info":"v{version}","resources":[{{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","cluster_name":"http","endpoints":[{{"lb_endpoints":[{}]}}]}}]}}"#,
        all.join(",")
    )
}

fn bootstrap(bare: &Bare) -> String {
    let (admin, eds, folder) =
        (bare.file("floor-admin.sock"), bare.file("floor-eds/http.json"), bare.file("floor-eds"));
    format!(
        r#"{{
  "node": {{ "id": "floor", "cluster": "floor" }},
  "admin": {{ "address": {{ "pipe": {{ "path": "{admin}" }} }} }},
  "static_resources": {{
    "listeners": [{{
      "name": "http",
      "address": {{ "socket_address": {{ "address": "0.0.0.0", "port_value": {PORT} }} }},
      "filter_chains": [{{ "filters": [{{
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {{
          "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
          "stat_prefix": "http", "cluster": "http"
        }}
      }}] }}]
    }}],
    "clusters": [{{
      "name": "http", "type": "EDS", "connect_timeout": "1s",
      "eds_cluster_config": {{ "eds_config": {{ "path_config_source": {{
        "path": "{eds}", "watched_directory": {{ "path": "{folder}" }}
      }} }} }}
    }}]
  }}
}}
"#
    )
}
