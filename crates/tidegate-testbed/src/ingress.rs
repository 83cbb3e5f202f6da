//! A real nginx on a worker, in the place of a hostNetwork ingress controller.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use fs_err as fs;
use rustix::process::Signal;

use crate::lab::Host;
use crate::process::Process;
use crate::run::{self, Scratch};
use crate::{deadline, http};

const READY_WITHIN: Duration = Duration::from_secs(10);
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// The longest stream of `/slow/<seconds>`.
const SLOW_SECONDS: [u64; 5] = [1, 5, 30, 300, 3600];

#[derive(Debug, Clone)]
pub struct IngressOptions {
    pub port: u16,
    /// Requests after which the ingress ends a keep-alive connection, so that a drain can finish.
    pub keepalive_requests: u32,
    /// Seconds after which it ends an idle one.
    pub keepalive_timeout: u32,
    /// Seconds after which it ends a busy one, at its next request.
    pub keepalive_time: u32,
}

impl Default for IngressOptions {
    fn default() -> Self {
        Self { port: 80, keepalive_requests: 100, keepalive_timeout: 5, keepalive_time: 10 }
    }
}

/// Answers `GET /` with `node <name>`, `/healthz` with 200, and `/slow/<n>` with a stream of n
/// seconds (n is 1, 5, 30, 300 or 3600).
#[derive(Debug)]
pub struct Ingress {
    process: Process,
    host: Host,
    port: u16,
    _scratch: Scratch,
}

impl Ingress {
    /// Starts it and waits until it answers.
    pub async fn start(host: &Host, node: &str, options: IngressOptions) -> Result<Self> {
        let scratch = run::current()?.scratch(&format!("ingress-{node}"))?;
        let folder = scratch.path();
        fs::create_dir(folder.join("slow"))?;
        for seconds in SLOW_SECONDS {
            let file = fs::File::create(folder.join("slow").join(seconds.to_string()))?;
            file.set_len(seconds * 1024)?;
        }
        let config = folder.join("nginx.conf");
        fs::write(&config, render(&folder.display().to_string(), node, &options))?;
        let (config, errors) = (config.display().to_string(), folder.join("error.log").display().to_string());
        let argv = ["nginx", "-c", &config, "-e", &errors];
        let process = host.spawn(&format!("ingress {node}"), &argv, folder.join("stdout.log"))?;
        let ingress = Self { process, host: host.clone(), port: options.port, _scratch: scratch };
        ingress.wait_ready().await?;
        Ok(ingress)
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The machine's ingress dies: master and workers get SIGKILL.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill_group()?;
        Ok(())
    }

    /// SIGQUIT: stops listening, finishes the requests in flight, ends.
    pub async fn stop_gracefully(&self) -> Result<()> {
        self.process.signal(Signal::QUIT)?;
        self.process.wait(DRAINED_WITHIN).await?;
        Ok(())
    }

    pub async fn restart(&self) -> Result<()> {
        self.process.kill_group()?;
        self.process.restart()?;
        self.wait_ready().await
    }

    async fn wait_ready(&self) -> Result<()> {
        let (host, address) = (&self.host, self.host.address(self.port));
        deadline::until("the ingress answering", READY_WITHIN, || async {
            let mut connection = http::Connection::from_stream(host.connect(address).await.ok()?);
            connection.exchange(&http::get(address, "/healthz", false)).await.ok()
        })
        .await
        .with_context(|| format!("its errors:\n{}", crate::process::tail(&self.errors(), 10)))?;
        Ok(())
    }

    fn errors(&self) -> PathBuf {
        self.process.log().with_file_name("error.log")
    }
}

fn render(folder: &str, node: &str, options: &IngressOptions) -> String {
    let IngressOptions { port, keepalive_requests, keepalive_timeout, keepalive_time } = options;
    format!(
        "daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type text/plain;
    keepalive_requests {keepalive_requests};
    keepalive_timeout {keepalive_timeout}s;
    keepalive_time {keepalive_time}s;
    server {{
        listen {port} backlog=4096;
        listen [::]:{port} backlog=4096;
        location / {{ return 200 \"node {node}\\n\"; }}
        location = /healthz {{ return 200 \"ok\\n\"; }}
        location /slow/ {{ alias {folder}/slow/; limit_rate 1k; }}
    }}
}}
"
    )
}
