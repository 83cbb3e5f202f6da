//! UDP: nodes that answer each datagram with their name, and clients that count what stays without an answer.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::lab::{Host, Task};

/// A datagram without an answer by then is lost.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than any answer.
const SIZE: usize = 512;

/// Answers each datagram with `<name> <datagram>`, until dropped.
#[derive(Debug)]
pub struct Echo {
    _task: Task<()>,
}

impl Echo {
    /// Starts to answer on `port`; it is bound when this returns.
    pub async fn start(host: &Host, name: &str, port: u16) -> Result<Self> {
        let bind = host.run(move || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
        let socket = bind.await??.into_std()?;
        let name = name.to_owned();
        let task = host.start(move || async move {
            let Ok(socket) = UdpSocket::from_std(socket) else { return };
            let mut buffer = [0_u8; SIZE];
            loop {
                // A client that is gone makes the next receive fail (ICMP); that is nothing to end for.
                let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
                let answer = [name.as_bytes(), b" ", buffer.get(..length).unwrap_or_default()].concat();
                let _ = socket.send_to(&answer, client).await;
            }
        })?;
        Ok(Self { _task: task })
    }
}

/// What the clients have seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub sent: u64,
    /// Datagrams that nobody answered in time, or whose answer was that of another.
    pub lost: u64,
    /// Answers by the node that gave them.
    pub by_node: BTreeMap<String, u64>,
}

impl Seen {
    /// One datagram more, and the node that answered it.
    fn add(&mut self, node: Option<String>) {
        self.sent += 1;
        match node {
            Some(node) => *self.by_node.entry(node).or_default() += 1,
            None => self.lost += 1,
        }
    }
}

/// Clients that send one datagram after the other, each from a socket of its own. Dropping it stops them.
#[derive(Debug)]
pub struct Datagrams {
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    task: Task<()>,
}

impl Datagrams {
    /// `flows` clients, each with one datagram every `pause`. With `renew`, each takes a new socket after so many of
    /// them, which makes a new flow.
    pub fn start(host: &Host, target: SocketAddr, flows: usize, pause: Duration, renew: Option<u64>) -> Result<Self> {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), CancellationToken::new());
        let (counted, stopped) = (Arc::clone(&seen), stop.clone());
        let task = host.start(move || async move {
            let mut clients = JoinSet::new();
            for _ in 0..flows {
                clients.spawn_local(client(target, pause, renew, Arc::clone(&counted), stopped.clone()));
            }
            while clients.join_next().await.is_some() {}
        })?;
        Ok(Self { seen, stop, task })
    }

    /// What was seen since the last call.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends nothing more, and gives what was seen since the last [`Self::take`].
    pub async fn stop(self) -> Result<Seen> {
        self.stop.cancel();
        let Self { seen, task, .. } = self;
        task.join().await?;
        let last = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(last)
    }
}

async fn client(
    target: SocketAddr,
    pause: Duration,
    renew: Option<u64>,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
) {
    let mut socket = None;
    for number in 0_u64.. {
        if stop.is_cancelled() {
            return;
        }
        if renew.is_some_and(|after| number % after == 0) {
            socket = None;
        }
        let node = exchange(&mut socket, target, number).await.ok();
        seen.lock().unwrap_or_else(PoisonError::into_inner).add(node);
        tokio::time::sleep(pause).await;
    }
}

/// The node that answered.
async fn exchange(socket: &mut Option<UdpSocket>, target: SocketAddr, number: u64) -> Result<String> {
    let socket = if let Some(socket) = socket {
        socket
    } else {
        let new = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        new.connect(target).await?;
        socket.insert(new)
    };
    socket.send(number.to_string().as_bytes()).await?;
    let mut buffer = [0_u8; SIZE];
    let answer = tokio::time::timeout(TIMEOUT, async {
        loop {
            let length = socket.recv(&mut buffer).await?;
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
            // A late answer to an earlier datagram, which was counted as lost, is not the one that is waited for.
            if let Some((node, echoed)) = text.split_once(' ')
                && echoed == number.to_string()
            {
                return anyhow::Ok(node.to_owned());
            }
        }
    });
    answer.await?
}
