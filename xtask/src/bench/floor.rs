//! The floor: what a bare script needs to change one backend. No store, no hook, no fsync, no roll back, no proof
//! beyond the engine's own word. Each floor is an engine of its own on the load balancer machine, beside the one that
//! Tidegate drives, and its programs are started there as Tidegate's are.

mod envoy;
mod haproxy;
mod nftables;
mod nginx;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tidegate_core::engine::EngineKind;
use tidegate_testbed::Host;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);
/// Where every floor listens.
const PORT: u16 = 8080;

/// A bare engine.
pub enum Floor {
    Nginx(nginx::Nginx),
    Haproxy(haproxy::Haproxy),
    Envoy(envoy::Envoy),
    Nftables(nftables::Nftables),
}

impl Floor {
    /// Serves all `backends`; the last one is the one that comes and goes.
    pub async fn start(engine: EngineKind, host: &Host, folder: &Path, backends: Vec<SocketAddr>) -> Result<Self> {
        let bare = Bare { host: host.clone(), folder: folder.to_owned(), backends };
        Ok(match engine {
            EngineKind::Nginx => Self::Nginx(nginx::Nginx::start(bare).await?),
            EngineKind::Haproxy => Self::Haproxy(haproxy::Haproxy::start(bare).await?),
            EngineKind::Envoy => Self::Envoy(envoy::Envoy::start(bare).await?),
            EngineKind::Nftables => Self::Nftables(nftables::Nftables::start(bare).await?),
            EngineKind::Custom => bail!("there is no bare engine behind `custom`"),
        })
    }

    /// The last backend comes or goes in the cheapest way that the engine has.
    pub async fn change(&self, present: bool) -> Result<()> {
        match self {
            Self::Nginx(nginx) => nginx.reload(present).await,
            Self::Haproxy(haproxy) => haproxy.change(present).await,
            Self::Envoy(envoy) => envoy.change(present).await,
            Self::Nftables(nftables) => nftables.change(present).await,
        }
    }

    /// The same as consul-template and its like do it: the whole file anew, the checker, a reload. False when the
    /// engine has no reload.
    pub async fn reload(&self, present: bool) -> Result<bool> {
        match self {
            Self::Nginx(nginx) => nginx.reload(present).await?,
            Self::Haproxy(haproxy) => haproxy.reload(present).await?,
            Self::Envoy(_) => return Ok(false),
            Self::Nftables(nftables) => nftables.reload(present).await?,
        }
        Ok(true)
    }
}

/// What every floor has.
struct Bare {
    host: Host,
    folder: PathBuf,
    backends: Vec<SocketAddr>,
}

impl Bare {
    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// All backends, or all but the last.
    fn shown(&self, present: bool) -> &[SocketAddr] {
        let count = self.backends.len() - usize::from(!present);
        self.backends.get(..count).unwrap_or_default()
    }

    fn last(&self) -> Result<SocketAddr> {
        self.backends.last().copied().context("a floor without backends")
    }

    /// Runs a program on the machine, as a child of a thread that is there already.
    async fn run(&self, argv: &[&str]) -> Result<()> {
        let words: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        let named = words.join(" ");
        let output = self.host.run(move || async move {
            let (program, args) = words.split_first().context("no program")?;
            anyhow::Ok(tokio::process::Command::new(program).args(args).output().await?)
        });
        let output = output.await??;
        ensure!(output.status.success(), "{named}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// Asks until the answer satisfies `wanted`.
async fn until(what: &str, wanted: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !wanted().await? {
        ensure!(started.elapsed() < LIMIT, "the floor: not {what} within {LIMIT:?}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// One question to a unix socket, and everything that it answers. `half_close`: say that there is no more to come.
async fn ask(socket: &str, question: &str, half_close: bool) -> Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(question.as_bytes()).await?;
    if half_close {
        stream.shutdown().await?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
