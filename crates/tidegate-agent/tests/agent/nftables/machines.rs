//! A client and nodes, each in a namespace behind the thread's own, which is the load balancer.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tidegate_agent::{Agent, AgentHandle, AgentSettings, AuditSettings, EngineSettings, Masquerade, NftablesSettings};

use crate::conformance::nftables::{enter_a_namespace, run};

pub struct Machines {
    prefix: String,
    names: Vec<String>,
    pub dir: tempfile::TempDir,
}

impl Machines {
    /// A client (number 0) and as many nodes.
    pub fn new(nodes: u8) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        enter_a_namespace();
        let prefix = format!("tg-nftm-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut machines = Self { prefix, names: Vec::new(), dir: tempfile::tempdir().unwrap() };
        for setting in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
            run("sysctl", &["-qw", setting]);
        }
        (0..=nodes).for_each(|n| machines.plug(n));
        machines
    }

    fn plug(&mut self, n: u8) {
        let name = format!("{}-{n}", self.prefix);
        run("ip", &["netns", "add", &name]);
        self.names.push(name.clone());
        let (link, own, lb) = (format!("m{n}"), Self::address(n, 4), format!("10.78.{n}.1"));
        run("ip", &["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &name]);
        run("ip", &["addr", "add", &format!("{lb}/24"), "dev", &link]);
        run("ip", &["addr", "add", &format!("fd78:{n}::1/64"), "dev", &link, "nodad"]);
        run("ip", &["link", "set", &link, "up"]);
        let inside = |args: &[&str]| run("ip", &[&["-n", name.as_str()], args].concat());
        inside(&["addr", "add", &format!("{own}/24"), "dev", "eth0"]);
        inside(&["addr", "add", &format!("{}/64", Self::address(n, 6)), "dev", "eth0", "nodad"]);
        inside(&["link", "set", "lo", "up"]);
        inside(&["link", "set", "eth0", "up"]);
        inside(&["route", "add", "default", "via", &lb]);
        inside(&["-6", "route", "add", "default", "via", &format!("fd78:{n}::1")]);
    }

    /// Of a machine; the load balancer's is that of the client's side.
    pub fn address(n: u8, family: u8) -> IpAddr {
        if family == 4 { [10, 78, n, 2].into() } else { format!("fd78:{n}::2").parse().unwrap() }
    }

    pub fn vip(family: u8) -> IpAddr {
        if family == 4 { [10, 78, 0, 1].into() } else { "fd78:0::1".parse().unwrap() }
    }

    /// Runs something on a machine, on a thread.
    pub fn on<T: Send + 'static>(&self, n: u8, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = std::fs::File::open(format!("/run/netns/{}-{n}", self.prefix)).unwrap();
        std::thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    pub fn on_client<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.on(0, work).join().unwrap()
    }

    pub fn serve_each(&self, nodes: &[u8], port: u16) {
        for n in nodes {
            self.serve(*n, port);
        }
    }

    /// Nodes answer `<number> <address of who asks>` to whatever comes, on streams and datagrams.
    pub fn serve(&self, n: u8, port: u16) {
        for family in [4, 6] {
            let at = SocketAddr::new(Self::address(n, family), port);
            let (tcp, udp) =
                self.on(n, move || (TcpListener::bind(at).unwrap(), UdpSocket::bind(at).unwrap())).join().unwrap();
            std::thread::spawn(move || {
                for stream in tcp.incoming().flatten() {
                    std::thread::spawn(move || answer(stream, n));
                }
            });
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((_, from)) = udp.recv_from(&mut buffer) {
                    _ = udp.send_to(format!("{n} {}", from.ip()).as_bytes(), from);
                }
            });
        }
    }

    /// Packets to and from a machine vanish.
    pub fn unplug(&self, n: u8) {
        run("ip", &["-n", &format!("{}-{n}", self.prefix), "addr", "flush", "dev", "eth0"]);
    }

    pub fn settings(&self, masquerade: Masquerade) -> NftablesSettings {
        let file = self.dir.path().join("live.nft");
        NftablesSettings { masquerade, ..NftablesSettings::new(file) }
    }

    pub async fn agent(&self, settings: NftablesSettings) -> AgentHandle {
        let settings = AgentSettings {
            cluster: None,
            state_dir: self.dir.path().join("state"),
            engine: EngineSettings::Nftables(settings),
            take_over: false,
            audit: AuditSettings::default(),
            probes: None,
            zone: None,
        };
        Agent::start(settings, None, &mut Registry::default()).await.unwrap()
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            _ = std::process::Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

fn answer(mut stream: TcpStream, n: u8) {
    let Ok(from) = stream.peer_addr() else { return };
    let mut buffer = [0; 64];
    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
        if stream.write_all(format!("{n} {}", from.ip().to_canonical()).as_bytes()).is_err() {
            return;
        }
    }
}

/// A client's side of a stream or of datagrams.
pub enum Asking {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Asking {
    pub fn tcp(to: SocketAddr, within: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, within)?;
        stream.set_read_timeout(Some(within))?;
        Ok(Self::Tcp(stream))
    }

    pub fn udp(to: SocketAddr, within: Duration) -> std::io::Result<Self> {
        let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(within))?;
        Ok(Self::Udp(socket))
    }

    /// The number of the node that answers, and whom it sees.
    pub fn ask(&mut self) -> std::io::Result<(u8, String)> {
        let mut buffer = [0; 64];
        let read = match self {
            Self::Tcp(stream) => stream.write_all(b"?").and_then(|()| stream.read(&mut buffer))?,
            Self::Udp(socket) => socket.send(b"?").and_then(|_| socket.recv(&mut buffer))?,
        };
        let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        let (node, whom) = text.split_once(' ').ok_or_else(|| std::io::Error::other("closed"))?;
        Ok((node.parse().unwrap(), whom.to_owned()))
    }
}
