//! One line to the Runtime API; or the whole file, `haproxy -c`, USR2, and wait until another worker answers.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use rustix::process::Signal;
use tidegate_testbed::process::Process;

use super::{Bare, PORT, ask, until};

pub struct Haproxy {
    process: Process,
    bare: Bare,
    socket: String,
}

impl Haproxy {
    pub(super) async fn start(bare: Bare) -> Result<Self> {
        let (config, socket) = (bare.file("floor.cfg"), bare.file("floor.sock"));
        fs::write(&config, render(&socket, &bare.backends))?;
        let argv = ["haproxy", "-W", "-db", "-f", &config];
        let process = bare.host.spawn("floor haproxy", &argv, bare.folder.join("floor.log"))?;
        let floor = Self { process, bare, socket };
        until("started", async || Ok(floor.worker().await.is_ok())).await?;
        Ok(floor)
    }

    pub(super) async fn change(&self, present: bool) -> Result<()> {
        let (server, address) = (self.name(), self.bare.last()?);
        let (command, says) = if present {
            (format!("add server {server} {address}; enable server {server}\n"), "registered")
        } else {
            (format!("set server {server} state maint; del server {server}\n"), "deleted")
        };
        let answer = ask(&self.socket, &command, true).await?;
        ensure!(answer.contains(says), "{command}: {answer}");
        Ok(())
    }

    pub(super) async fn reload(&self, present: bool) -> Result<()> {
        let config = self.bare.file("floor.cfg");
        fs::write(&config, render(&self.socket, self.bare.shown(present)))?;
        self.bare.run(&["haproxy", "-c", "-q", "-f", &config]).await?;
        let old = self.worker().await?;
        self.process.signal(Signal::USR2)?;
        until("reloaded", async || Ok(self.worker().await.is_ok_and(|worker| worker != old))).await
    }

    async fn worker(&self) -> Result<String> {
        let info = ask(&self.socket, "show info\n", true).await?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid: ")).context("a worker without a pid")?;
        Ok(pid.to_owned())
    }

    fn name(&self) -> String {
        format!("http/s{}", self.bare.backends.len() - 1)
    }
}

fn render(socket: &str, backends: &[SocketAddr]) -> String {
    let server = |(number, backend): (usize, &SocketAddr)| format!("  server s{number} {backend}\n");
    let servers: Vec<String> = backends.iter().enumerate().map(server).collect();
    format!(
        "global
  stats socket {socket} mode 600 level admin expose-fd listeners
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
frontend http
  bind 0.0.0.0:{PORT}
  default_backend http
backend http
  balance roundrobin
{}",
        servers.concat()
    )
}
