//! A TCP relay from a host of the lab to a server outside it, with faults.
//!
//! It listens on the *same* loopback port as the server, so that one kubeconfig fits inside and
//! outside, and the server's certificate fits too.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::lab::{Host, Task, thread};

/// What the relay does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    /// Sockets stay open, no byte passes.
    Hold,
    /// New connections are closed at once, as are the old ones.
    Refuse,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// Connections of an older generation are dropped.
    generation: u64,
}

/// Forwards while it lives; dropping it drops every connection.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    _task: Task<()>,
}

impl Relay {
    /// Listens on `server`'s address inside `host`, and connects to it in the root namespace.
    pub async fn start(host: &Host, server: SocketAddr) -> Result<Self> {
        let listen = host.run(move || async move { TcpListener::bind(server).await?.into_std() });
        let listener = listen.await?.with_context(|| format!("relaying {server}"))?;
        let state = Arc::new(watch::Sender::new(State { mode: Mode::Forward, generation: 0 }));
        let (shared, (ready, started)) = (Arc::clone(&state), oneshot::channel());
        // The thread is ours, so that the relay works on while a test blocks its own runtime.
        let task = thread::start("relay", None, move || async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    let _ = ready.send(());
                    accept(listener, server, shared).await;
                }
                Err(error) => tracing::error!(%error, "the relay's socket cannot be used"),
            }
        })?;
        started.await.context("the relay did not start")?;
        Ok(Self { address: server, state, _task: task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drops all connections now; new ones work.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// The network goes silent: connections stay open, also new ones, but no byte passes.
    pub fn hold(&self) {
        self.state.send_modify(|state| state.mode = Mode::Hold);
    }

    /// Drops all connections, and every new one as soon as it is made.
    pub fn refuse(&self) {
        self.state.send_modify(|state| {
            state.mode = Mode::Refuse;
            state.generation += 1;
        });
    }

    /// Ends [`Relay::hold`] (what was held is delivered) and [`Relay::refuse`].
    pub fn forward(&self) {
        self.state.send_modify(|state| state.mode = Mode::Forward);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, state: Arc<watch::Sender<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut changes = state.subscribe();
        let born = *changes.borrow_and_update();
        if born.mode == Mode::Refuse {
            reset(&client);
            continue;
        }
        tokio::task::spawn_local(async move {
            let mut cut = changes.clone();
            tokio::select! {
                result = forward(client, server, changes) => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "a relayed connection ended");
                    }
                }
                _ = cut.wait_for(|now| now.generation != born.generation) => {}
            }
        });
    }
}

async fn forward(client: TcpStream, server: SocketAddr, state: watch::Receiver<State>) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    // A cut must look like one: a reset at both ends, not an orderly end.
    reset(&client);
    reset(&server);
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::try_join!(copy(client_read, server_write, state.clone()), copy(server_read, client_write, state))?;
    Ok(())
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if state.wait_for(|now| now.mode != Mode::Hold).await.is_err() {
            return Ok(());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
    }
}

/// Makes the close of this socket send a reset.
fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(std::time::Duration::ZERO));
}
