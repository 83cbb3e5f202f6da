//! The floor: what a bare script would need. Write the file, `nginx -t`, HUP, and wait until nginx has
//! replaced its workers. No store, no hook, no fsync, no rollback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use tidegate_testbed::process::Process;
use tidegate_testbed::{Host, deadline};

const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);

/// An nginx of its own on the load balancer machine, beside the one that Tidegate drives.
pub struct Floor {
    nginx: Process,
    host: Host,
    config: PathBuf,
    errors: String,
    backends: Vec<SocketAddr>,
}

impl Floor {
    pub async fn start(host: &Host, folder: &Path, backends: Vec<SocketAddr>) -> Result<Self> {
        let (config, errors) = (folder.join("floor.conf"), folder.join("floor-error.log").display().to_string());
        fs::write(&config, render(folder, &backends))?;
        let argv = ["nginx", "-e", &errors, "-c", &config.display().to_string(), "-g", "daemon off;"];
        let nginx = host.spawn("floor nginx", &argv, folder.join("floor.log"))?;
        let floor = Self { nginx, host: host.clone(), config, errors, backends };
        deadline::until("the floor's workers", LIMIT, || async { floor.workers().ok().filter(|all| !all.is_empty()) })
            .await?;
        Ok(floor)
    }

    /// Puts the first `count` backends live; returns when the old workers are quitting.
    pub async fn apply(&self, count: usize) -> Result<()> {
        let folder = self.config.parent().context("a config without a folder")?;
        let shown: Vec<SocketAddr> = self.backends.iter().take(count).copied().collect();
        fs::write(&self.config, render(folder, &shown))?;
        let mut check = tokio::process::Command::from(self.host.command("nginx"));
        let check = check.args(["-t", "-q", "-e", &self.errors, "-g", "daemon off;", "-c"]).arg(&self.config);
        ensure!(check.status().await?.success(), "the floor's nginx -t failed");
        let old = self.workers()?;
        let master = i32::try_from(self.nginx.pid()).ok().and_then(Pid::from_raw).context("no pid")?;
        kill_process(master, Signal::HUP)?;
        let started = std::time::Instant::now();
        while !self.replaced(&old)? {
            ensure!(started.elapsed() < LIMIT, "the floor's nginx did not reload");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn replaced(&self, old: &[u32]) -> Result<bool> {
        let now = self.workers()?;
        Ok(now.iter().any(|worker| !old.contains(worker)) && !old.iter().any(|worker| now.contains(worker)))
    }

    /// Workers that accept connections: children of the master that are not shutting down.
    fn workers(&self) -> Result<Vec<u32>> {
        let pid = self.nginx.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let pids = children.split_whitespace().filter_map(|child| child.parse().ok());
        let accepts = |child: &u32| {
            let title = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let title = String::from_utf8_lossy(&title);
            title.contains("worker process") && !title.contains("shutting down")
        };
        Ok(pids.filter(accepts).collect())
    }
}

fn render(folder: &Path, backends: &[SocketAddr]) -> String {
    let servers: Vec<String> = backends.iter().map(|backend| format!("    server {backend};\n")).collect();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes 2;
pid {folder}/floor.pid;
events {{ worker_connections 4096; }}
stream {{
  upstream http {{
{servers}  }}
  server {{ listen 8080; proxy_pass http; }}
}}
",
        folder = folder.display(),
        servers = servers.concat(),
    )
}
