//! Backends that say who they are, and clients that count what fails.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

pub const LIMIT: Duration = Duration::from_secs(20);

/// A loopback address that no other test has: from the process and a counter.
pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 1 + u8::try_from(nth % 250).unwrap(), high, low.max(1))
}

/// What the kernel may give out as free although it is somebody's: nobody listens there yet.
static PROMISED: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());

pub fn free_port(address: Ipv4Addr) -> SocketAddr {
    let at = listening(address).1;
    PROMISED.lock().unwrap().insert(at);
    until_nobody_accepts(at);
    at
}

/// A closed socket is not always gone: a program that another test is just starting holds copies of all sockets of this
/// process until it is executed, and the kernel accepts for it.
pub fn until_nobody_accepts(at: SocketAddr) {
    until("nobody accepts any more", || TcpStream::connect(at).is_err());
}

fn listening(address: Ipv4Addr) -> (TcpListener, SocketAddr) {
    loop {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        if !PROMISED.lock().unwrap().contains(&at) {
            return (listener, at);
        }
    }
}

/// Answers each connection with its own port and then echoes until the client closes.
pub fn backend(address: Ipv4Addr) -> SocketAddr {
    let (listener, at) = listening(address);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, at));
        }
    });
    at
}

fn serve(mut stream: TcpStream, at: SocketAddr) {
    let mut buffer = [0; 512];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 || writeln!(stream, "{}", at.port()).is_err() {
            return;
        }
    }
}

/// A connection through the load balancer.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub fn connect(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self { stream })
    }

    /// The same, for an answer that may not come.
    pub fn ask_within(&mut self, limit: Duration) -> std::io::Result<u16> {
        self.stream.set_read_timeout(Some(limit))?;
        self.ask()
    }

    /// The port of the backend that answers.
    pub fn ask(&mut self) -> std::io::Result<u16> {
        self.stream.write_all(b"?")?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            self.stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        text.parse().map_err(|_| std::io::Error::other(text))
    }
}

/// A connection from an address and port of one's own choice; port 0 is any. What the kernel does not give fails the test.
pub fn connect_from(from: SocketAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &from).unwrap();
    connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

pub fn ask_once(to: SocketAddr) -> std::io::Result<u16> {
    Client::connect(to)?.ask()
}

/// The backends that answer 60 connections.
pub fn answering(to: SocketAddr) -> BTreeSet<u16> {
    (0..60).map(|_| ask_once(to).unwrap()).collect()
}

/// New connections in a loop, until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    pub ok: Arc<AtomicU64>,
    worker: JoinHandle<Vec<String>>,
}

impl Load {
    pub fn start(to: SocketAddr) -> Self {
        let (stop, ok) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, counted) = (stop.clone(), ok.clone());
        let worker = std::thread::spawn(move || {
            let mut failed = Vec::new();
            let mut kept = Client::connect(to).ok();
            while !ended.load(Ordering::Relaxed) {
                let long = kept.as_mut().map_or(Err(std::io::Error::other("no connection")), Client::ask);
                for result in [long, ask_once(to)] {
                    match result {
                        Ok(_) => drop(counted.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => failed.push(error.to_string()),
                    }
                }
            }
            failed
        });
        Self { stop, ok, worker }
    }

    /// Waits until this many more requests succeeded.
    pub fn see(&self, more: u64) {
        let target = self.ok.load(Ordering::Relaxed) + more;
        until("requests succeed", || self.ok.load(Ordering::Relaxed) >= target);
    }

    /// What failed.
    pub fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().unwrap()
    }
}

pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
