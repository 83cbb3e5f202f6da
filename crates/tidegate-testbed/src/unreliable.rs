//! A network between controller and agent that loses, repeats, delays and reorders hooks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::lab::{Host, Task};

/// Long enough for several newer hooks to arrive before.
const LATE: Duration = Duration::from_millis(1_500);

/// What was done to hooks, by kind.
#[derive(Debug, Default)]
pub struct Mischief {
    pub passed: AtomicU64,
    pub lost: AtomicU64,
    pub answers_lost: AtomicU64,
    pub repeated: AtomicU64,
    pub late: AtomicU64,
}

impl Mischief {
    /// Every count, in the order of the fields.
    pub fn counts(&self) -> [u64; 5] {
        let all = [&self.passed, &self.lost, &self.answers_lost, &self.repeated, &self.late];
        all.map(|count| count.load(Ordering::Relaxed))
    }
}

/// Stands in for the agent's address until it is dropped.
#[derive(Debug)]
pub struct Unreliable {
    mischief: Arc<Mischief>,
    _task: Task<()>,
}

impl Unreliable {
    /// Listens on `listen` inside `host` and forwards to `agent`; the same seed does the same.
    pub fn start(host: &Host, listen: SocketAddr, agent: SocketAddr, seed: u64) -> Result<Self> {
        let mischief = Arc::new(Mischief::default());
        let counted = Arc::clone(&mischief);
        let task = host.start(move || async move {
            if let Err(error) = serve(listen, agent, seed, counted).await {
                tracing::error!(%error, "the unreliable network ended");
            }
        })?;
        Ok(Self { mischief, _task: task })
    }

    pub fn mischief(&self) -> &Mischief {
        &self.mischief
    }
}

async fn serve(listen: SocketAddr, agent: SocketAddr, seed: u64, mischief: Arc<Mischief>) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let mut dice = seed;
    loop {
        let (client, _) = listener.accept().await?;
        // Knuth's MMIX generator: its upper bits are random enough to choose a fault.
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (fault, mischief) = ((dice >> 33) % 6, Arc::clone(&mischief));
        tokio::task::spawn_local(async move {
            if let Err(error) = one(client, agent, fault, &mischief).await {
                tracing::debug!(%error, "a forwarded hook ended");
            }
        });
    }
}

/// One request, then the connection ends.
async fn one(mut client: TcpStream, agent: SocketAddr, fault: u64, mischief: &Mischief) -> std::io::Result<()> {
    let request = read_message(&mut client).await?;
    let count = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
    if !request.starts_with(b"POST ") {
        // Questions for the status pass: what is tested is the loss of hooks.
        return client.write_all(&forward(agent, &request).await?).await;
    }
    match fault {
        0 => {
            count(&mischief.lost);
        }
        1 => {
            count(&mischief.answers_lost);
            forward(agent, &request).await?;
        }
        2 => {
            count(&mischief.repeated);
            let answer = forward(agent, &request).await?;
            forward(agent, &request).await?;
            client.write_all(&answer).await?;
        }
        3 => {
            count(&mischief.late);
            drop(client);
            tokio::time::sleep(LATE).await;
            forward(agent, &request).await?;
        }
        _ => {
            count(&mischief.passed);
            client.write_all(&forward(agent, &request).await?).await?;
        }
    }
    Ok(())
}

async fn forward(agent: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(agent).await?;
    stream.write_all(request).await?;
    read_message(&mut stream).await
}

/// A head and, as its Content-Length says, a body.
async fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if bytes.len() >= end + 4 + length.unwrap_or(0_usize) {
                return Ok(bytes);
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
