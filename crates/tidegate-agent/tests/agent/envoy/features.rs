//! What clients and backends see of each listener feature.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use tidegate_core::desired::{Balance, Listener, Protocol, ProxyProtocol};

use super::EnvoySite;
use crate::rig::apply_ok;
use crate::states::{at, draining, listener, state};
use crate::traffic::{Client, answering, ask_once, backend, own_address, until};

const PATIENCE: Duration = Duration::from_secs(5);

fn http(vip: SocketAddr, change: impl Fn(&mut Listener)) -> Listener {
    let mut http = listener("http", vip);
    change(&mut http);
    http
}

/// The first bytes that a backend sees of a client that says hello, as many as expected.
async fn seen_with(version: ProxyProtocol, length: usize) -> (Vec<u8>, SocketAddr, SocketAddr) {
    let mut site = EnvoySite::new();
    let vip = site.free_port();
    let backend = TcpListener::bind((site.address, 0)).unwrap();
    let agent = site.start().await;
    let listener = http(vip, |l| l.proxy_protocol = version);
    apply_ok(&agent, &state(1, vec![(listener, vec![at(backend.local_addr().unwrap())])])).await;
    let mut client = TcpStream::connect(vip).unwrap();
    client.write_all(b"hello").unwrap();
    let (mut seen, _) = backend.accept().unwrap();
    seen.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = vec![0; length];
    seen.read_exact(&mut got).unwrap();
    (got, client.local_addr().unwrap(), vip)
}

#[tokio::test]
async fn the_backend_is_told_the_clients_address_by_version_1() {
    let (got, from, vip) = seen_with(ProxyProtocol::V1, 20).await;
    let expected = format!("PROXY TCP4 {} {} {} {}\r\nhello", from.ip(), vip.ip(), from.port(), vip.port());
    assert_eq!(String::from_utf8_lossy(&got), expected[..20]);
}

#[tokio::test]
async fn the_backend_is_told_the_clients_address_by_version_2() {
    let (got, from, vip) = seen_with(ProxyProtocol::V2, 28 + 5).await;
    let ip = |address: SocketAddr| match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(_) => panic!("{address}"),
    };
    let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    expected.extend([ip(from), ip(vip)].concat());
    expected.extend([from.port().to_be_bytes(), vip.port().to_be_bytes()].concat());
    expected.extend(b"hello");
    assert_eq!(got, expected);
}

fn reaches(vip: SocketAddr, from: Ipv4Addr) -> bool {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((from, 0))).unwrap();
    rustix::net::connect(&socket, &vip).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 1];
    stream.write_all(b"?").is_ok() && stream.read_exact(&mut answer).is_ok()
}

#[tokio::test]
async fn clients_outside_the_source_ranges_are_refused() {
    let mut site = EnvoySite::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let (allowed, other) = (own_address(), own_address());
    let agent = site.start().await;
    let ranged = http(vip, |l| l.source_ranges = vec![format!("{allowed}/32").parse().unwrap()]);
    apply_ok(&agent, &state(1, vec![(ranged, vec![at(one)])])).await;
    assert!(reaches(vip, allowed));
    assert!(!reaches(vip, other));
}

#[tokio::test]
async fn with_balance_source_a_client_stays_on_its_node() {
    let mut site = EnvoySite::new();
    let vip = site.free_port();
    let pool: Vec<SocketAddr> = (0..4).map(|_| backend(site.address)).collect();
    let agent = site.start().await;
    let source = http(vip, |l| l.balance = Balance::Source);
    let content = |pool: Vec<_>| vec![(source.clone(), pool)];
    apply_ok(&agent, &state(1, content(pool.iter().map(|b| at(*b)).collect()))).await;
    let mine = answering(vip);
    assert_eq!(mine.len(), 1);
    let out = pool.iter().position(|b| !mine.contains(&b.port())).unwrap();
    let rest = pool.iter().enumerate().map(|(n, b)| if n == out { draining(at(*b)) } else { at(*b) });
    apply_ok(&agent, &state(2, content(rest.collect()))).await;
    assert_eq!(answering(vip), mine);
}

#[tokio::test]
async fn least_connections_prefers_who_has_few() {
    let mut site = EnvoySite::new();
    let vip = site.free_port();
    let pool = [backend(site.address), backend(site.address)];
    let agent = site.start().await;
    let least = http(vip, |l| l.balance = Balance::LeastConnections);
    apply_ok(&agent, &state(1, vec![(least, pool.map(at).to_vec())])).await;
    let mut clients: Vec<_> = (0..60).map(|_| Client::connect(vip).unwrap()).collect();
    let ports: Vec<u16> = clients.iter_mut().map(|c| c.ask().unwrap()).collect();
    let first = ports.iter().filter(|p| **p == pool[0].port()).count();
    assert!((24..=36).contains(&first), "the better of two at random, for each of two threads: {first} of 60");
}

#[tokio::test]
async fn more_connections_than_allowed_are_refused() {
    let mut site = EnvoySite::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let agent = site.start().await;
    let limited = http(vip, |l| l.limits.max_connections = NonZeroU32::new(2));
    apply_ok(&agent, &state(1, vec![(limited, vec![at(one)])])).await;
    let mut kept = [Client::connect(vip).unwrap(), Client::connect(vip).unwrap()];
    assert!(kept.iter_mut().all(|c| c.ask().is_ok()));
    assert!(ask_once(vip).is_err());
    drop(kept);
    until("there is room again", || ask_once(vip).is_ok());
}

#[tokio::test]
async fn a_connection_without_traffic_is_ended() {
    let mut site = EnvoySite::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let agent = site.start().await;
    let idle = http(vip, |l| l.limits.idle_timeout = Some(Duration::from_millis(700)));
    apply_ok(&agent, &state(1, vec![(idle, vec![at(one)])])).await;
    let mut stream = TcpStream::connect(vip).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"?").unwrap();
    let start = Instant::now();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(600) && !all.is_empty(), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_dead_backend_costs_no_request() {
    let mut site = EnvoySite::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let dead = site.free_port();
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one), at(dead)])])).await;
    assert_eq!(answering(vip), [one.port()].into());
}

#[tokio::test]
async fn datagrams_go_to_a_backend_and_back() {
    let mut site = EnvoySite::new();
    let vip = UdpSocket::bind((site.address, 0)).unwrap().local_addr().unwrap();
    let backends = [(); 2].map(|()| UdpSocket::bind((site.address, 0)).unwrap());
    let agent = site.start().await;
    let mut dns = listener("dns", vip);
    (dns.protocol, dns.balance) = (Protocol::Udp, Balance::Source);
    let [one, two] = [0, 1].map(|n: usize| at(backends[n].local_addr().unwrap()));
    apply_ok(&agent, &state(1, vec![(dns.clone(), vec![one.clone()])])).await;
    let client = UdpSocket::bind((site.address, 0)).unwrap();
    for socket in [&client, &backends[0], &backends[1]] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut buffer = [0; 64];
    client.send_to(b"question", vip).unwrap();
    let (length, from) = backends[0].recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"question");
    backends[0].send_to(b"answer", from).unwrap();
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"answer"[..], vip));
    // A node that drains gets nothing more, sessions that exist included.
    apply_ok(&agent, &state(2, vec![(dns, vec![draining(one), two])])).await;
    for _ in 0..10 {
        client.send_to(b"again", vip).unwrap();
        assert_eq!(backends[1].recv_from(&mut buffer).unwrap().0, 5);
    }
    backends[0].set_nonblocking(true).unwrap();
    assert!(backends[0].recv_from(&mut buffer).is_err());
}

#[tokio::test]
async fn an_ipv6_listener_serves_ipv4_backends_and_leaves_ipv4_alone() {
    let mut site = EnvoySite::new();
    let six: SocketAddr = TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
    let one = backend(site.address);
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", six), vec![at(one)])])).await;
    assert_eq!(answering(six), [one.port()].into());
    assert!(TcpListener::bind((site.address, six.port())).is_ok());
}

/// Connections that wait for nothing are not cut by a change of the listener they came through.
#[tokio::test]
async fn a_changed_or_removed_listener_keeps_its_connections() {
    let mut site = EnvoySite::new();
    let (vip, other, one) = (site.free_port(), site.free_port(), backend(site.address));
    let agent = site.start().await;
    let second = (listener("other", other), vec![at(one)]);
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)]), second.clone()])).await;
    let mut kept = Client::connect(vip).unwrap();
    kept.ask().unwrap();
    let changed = http(vip, |l| l.limits.idle_timeout = Some(Duration::from_secs(60)));
    apply_ok(&agent, &state(2, vec![(changed, vec![at(one)]), second.clone()])).await;
    assert_eq!(kept.ask().unwrap(), one.port());
    let moved = http(vip, |l| l.balance = Balance::Source);
    apply_ok(&agent, &state(3, vec![(moved, vec![at(one)]), second.clone()])).await;
    assert_eq!(kept.ask().unwrap(), one.port());
    apply_ok(&agent, &state(4, vec![second])).await;
    assert_eq!(kept.ask().unwrap(), one.port());
    assert!(Client::connect(vip).is_err());
}
