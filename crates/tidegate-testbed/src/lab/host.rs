//! One machine of a lab.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tokio::net::{TcpListener, TcpStream};

use super::{NAMESPACES, Task, commands, thread};
use crate::http;
use crate::process::{Process, Spec};

/// A handle to a namespace; clones name the same one.
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    role: String,
    namespace: String,
    switch: String,
    number: u8,
}

impl Host {
    pub(super) fn new(role: &str, namespace: String, switch: &str, number: u8) -> Self {
        let inner = Inner { role: role.to_owned(), namespace, switch: switch.to_owned(), number };
        Self { inner: Arc::new(inner) }
    }

    pub fn role(&self) -> &str {
        &self.inner.role
    }

    /// The name that `ip netns` knows.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    pub fn ipv4(&self) -> Ipv4Addr {
        super::ipv4(self.inner.number)
    }

    pub fn ipv6(&self) -> Ipv6Addr {
        super::ipv6(self.inner.number)
    }

    pub fn address(&self, port: u16) -> SocketAddr {
        (self.ipv4(), port).into()
    }

    pub(super) fn switch(&self) -> &str {
        &self.inner.switch
    }

    /// The switch's end of our cable.
    pub(super) fn port(&self) -> String {
        format!("port{}", self.inner.number)
    }

    /// A command that runs on this host; `tokio::process::Command::from` takes it too.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.namespace(), program]);
        command
    }

    /// Starts a server on this host, that dies with us.
    pub fn spawn(&self, name: &str, argv: &[&str], log: PathBuf) -> Result<Process> {
        Process::spawn(Spec::new(name, self.argv(argv), log))
    }

    /// `argv` as it has to be started from outside.
    pub fn argv(&self, argv: &[&str]) -> Vec<String> {
        let enter = ["ip", "netns", "exec", self.namespace()];
        enter.iter().chain(argv).map(|&word| word.to_owned()).collect()
    }

    /// Runs `body` on a thread of its own inside this host and waits for its value.
    pub async fn run<T, F, P>(&self, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> P + Send + 'static,
        P: Future<Output = T>,
    {
        self.start(body)?.join().await
    }

    /// As [`Host::run`], in the background; dropping the task cancels it.
    pub fn start<T, F, P>(&self, body: F) -> Result<Task<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> P + Send + 'static,
        P: Future<Output = T>,
    {
        thread::start(self.role(), Some(PathBuf::from(NAMESPACES).join(self.namespace())), body)
    }

    /// A connection from this host. Sockets stay in the namespace that made them, so it can be used
    /// from the caller's runtime.
    pub async fn connect(&self, target: SocketAddr) -> Result<TcpStream> {
        let stream = self.run(move || async move { TcpStream::connect(target).await?.into_std() });
        let stream = stream.await?.with_context(|| format!("{} to {target}", self.role()))?;
        Ok(TcpStream::from_std(stream)?)
    }

    /// One GET from this host, such as of an API that listens on its loopback only.
    pub async fn get(&self, target: SocketAddr, path: &str) -> Result<http::Response> {
        let mut connection = http::Connection::from_stream(self.connect(target).await?);
        let answer = connection.exchange(&http::get(target, path, false)).await;
        answer.map_err(|broken| anyhow!("GET {target}{path}: {:?}", broken.failure))
    }

    /// A listening socket on this host, for the caller's runtime.
    pub async fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        let listener = self.run(move || async move { TcpListener::bind(address).await?.into_std() });
        let listener = listener.await?.with_context(|| format!("{} on {address}", self.role()))?;
        Ok(TcpListener::from_std(listener)?)
    }

    /// Pulls the cable: packets vanish in both directions, and nobody is told.
    pub fn unplug(&self) -> Result<()> {
        commands::in_namespace(self.switch(), &format!("link set {} nomaster", self.port()))
    }

    /// Puts the cable back.
    pub fn plug(&self) -> Result<()> {
        commands::in_namespace(self.switch(), &format!("link set {} master br0", self.port()))
    }
}
