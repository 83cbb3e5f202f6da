//! Write the file, `nginx -t`, HUP, and wait until nginx has replaced its workers.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use tidegate_testbed::process::Process;

use super::{Bare, PORT, until};

pub struct Nginx {
    process: Process,
    bare: Bare,
}

impl Nginx {
    pub(super) async fn start(bare: Bare) -> Result<Self> {
        let (config, errors) = (bare.file("floor.conf"), bare.file("floor-error.log"));
        fs::write(&config, render(&bare.file("floor.pid"), &bare.backends))?;
        let argv = ["nginx", "-e", &errors, "-c", &config, "-g", "daemon off;"];
        let process = bare.host.spawn("floor nginx", &argv, bare.folder.join("floor.log"))?;
        let floor = Self { process, bare };
        until("started", async || Ok(!floor.workers().unwrap_or_default().is_empty())).await?;
        Ok(floor)
    }

    /// Returns when the old workers are quitting.
    pub(super) async fn reload(&self, present: bool) -> Result<()> {
        let (config, errors) = (self.bare.file("floor.conf"), self.bare.file("floor-error.log"));
        fs::write(&config, render(&self.bare.file("floor.pid"), self.bare.shown(present)))?;
        self.bare.run(&["nginx", "-t", "-q", "-e", &errors, "-g", "daemon off;", "-c", &config]).await?;
        let old = self.workers()?;
        let master = i32::try_from(self.process.pid()).ok().and_then(Pid::from_raw).context("no pid")?;
        kill_process(master, Signal::HUP)?;
        until("reloaded", async || self.replaced(&old)).await
    }

    fn replaced(&self, old: &[u32]) -> Result<bool> {
        let now = self.workers()?;
        Ok(now.iter().any(|worker| !old.contains(worker)) && !old.iter().any(|worker| now.contains(worker)))
    }

    /// Workers that accept connections: children of the master that are not shutting down.
    fn workers(&self) -> Result<Vec<u32>> {
        let pid = self.process.pid();
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

fn render(pid: &str, backends: &[SocketAddr]) -> String {
    let servers: Vec<String> = backends.iter().map(|backend| format!("    server {backend};\n")).collect();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes 2;
pid {pid};
events {{ worker_connections 4096; }}
stream {{
  upstream http {{
{}  }}
  server {{ listen {PORT}; proxy_pass http; }}
}}
",
        servers.concat()
    )
}
