//! A server of the MongoDB protocol (FerretDB on SQLite files) with data of its own, and with faults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::go;
use crate::cluster::ports;
use crate::deadline;
use crate::process::{Process, Spec};
use crate::run::{self, Scratch};

/// It needs 0.1 s alone.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct MongoServer {
    process: Process,
    address: SocketAddr,
    _scratch: Scratch,
}

impl MongoServer {
    /// Starts an empty one on a free port of the loopback and waits until it listens; builds it first when it must.
    pub async fn start() -> Result<Self> {
        let binary = tokio::task::spawn_blocking(ensure_mongo).await??;
        let scratch = run::current()?.scratch("mongo")?;
        let data = scratch.path().join("data");
        std::fs::create_dir(&data)?;
        let address = ports::free()?;
        let argv = vec![binary.display().to_string(), address.to_string(), data.display().to_string()];
        let process = Process::spawn(Spec::new("ferretdb", argv, scratch.path().join("ferretdb.log")))?;
        let server = Self { process, address, _scratch: scratch };
        server.wait_ready().await?;
        Ok(server)
    }

    /// How clients reach it; no user, no password.
    pub fn uri(&self) -> String {
        format!("mongodb://{}/", self.address)
    }

    /// 127.0.0.1 and a port of its own, kept over restarts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server hangs: connections stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// The server crashes: every connection is reset, what was acknowledged stays.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// Starts it on the data that it has; kills it first when it still runs.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart()?;
        self.wait_ready().await
    }

    async fn wait_ready(&self) -> Result<()> {
        let connect = || async { tokio::net::TcpStream::connect(self.address).await.ok() };
        let ready = deadline::until("ferretdb listening", READY_WITHIN, connect).await;
        ready.with_context(|| format!("the end of its log:\n{}", self.process.log_tail(15)))?;
        Ok(())
    }
}

/// Its binary.
pub fn ensure_mongo() -> Result<PathBuf> {
    go::FERRETDB.ensure("ferretdb")
}
