//! What clients and backends see of each listener feature.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use tidegate_core::desired::{Balance, Protocol, ProxyProtocol};

use crate::rig::{Rig, apply_ok};
use crate::states::{at, listener, state};
use crate::traffic::{answering, backend, free_port, own_address};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_backend_is_told_the_clients_address_by_proxy_protocol_v1() {
    let mut rig = Rig::new();
    let vip = rig.free_port();
    let backend = TcpListener::bind((rig.address, 0)).unwrap();
    let agent = rig.start().await;
    let mut http = listener("http", vip);
    http.proxy_protocol = ProxyProtocol::V1;
    apply_ok(&agent, &state(1, vec![(http, vec![at(backend.local_addr().unwrap())])])).await;

    let mut client = TcpStream::connect(vip).unwrap();
    client.write_all(b"hello").unwrap();
    let (mut seen, _) = backend.accept().unwrap();
    seen.set_read_timeout(Some(PATIENCE)).unwrap();
    let from = client.local_addr().unwrap();
    let expected = format!("PROXY TCP4 {} {} {} {}\r\nhello", from.ip(), vip.ip(), from.port(), vip.port());
    let mut got = vec![0; expected.len()];
    seen.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

#[tokio::test]
async fn datagrams_go_to_a_backend_and_back() {
    let mut rig = Rig::new();
    let vip = UdpSocket::bind((rig.address, 0)).unwrap().local_addr().unwrap();
    let backend = UdpSocket::bind((rig.address, 0)).unwrap();
    let agent = rig.start().await;
    let mut dns = listener("dns", vip);
    dns.protocol = Protocol::Udp;
    apply_ok(&agent, &state(1, vec![(dns, vec![at(backend.local_addr().unwrap())])])).await;

    let client = UdpSocket::bind((rig.address, 0)).unwrap();
    for socket in [&client, &backend] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    client.send_to(b"question", vip).unwrap();
    let mut buffer = [0; 64];
    let (length, from) = backend.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"question");
    backend.send_to(b"answer", from).unwrap();
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"answer"[..], vip));
}

/// Whether a client with this address gets an answer.
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
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let (allowed, other) = (own_address(), own_address());
    let agent = rig.start().await;
    let mut http = listener("http", vip);
    http.source_ranges = vec![format!("{allowed}/32").parse().unwrap()];
    apply_ok(&agent, &state(1, vec![(http, vec![at(one)])])).await;
    assert!(reaches(vip, allowed));
    assert!(!reaches(vip, other));
}

#[tokio::test]
async fn with_balance_source_a_client_stays_on_its_node() {
    let mut rig = Rig::new();
    let vip = rig.free_port();
    let pool: Vec<SocketAddr> = (0..4).map(|_| backend(rig.address)).collect();
    let agent = rig.start().await;
    let mut http = listener("http", vip);
    http.balance = Balance::Source;
    apply_ok(&agent, &state(1, vec![(http.clone(), pool.iter().map(|b| at(*b)).collect())])).await;
    let mine = answering(vip);
    assert_eq!(mine.len(), 1);
    // Taking another node out does not move it.
    let rest: Vec<_> = pool
        .iter()
        .skip(1)
        .chain(pool.first())
        .filter(|b| mine.contains(&b.port()))
        .chain(pool.iter().filter(|b| !mine.contains(&b.port())).take(2))
        .map(|b| at(*b))
        .collect();
    apply_ok(&agent, &state(2, vec![(http, rest)])).await;
    assert_eq!(answering(vip), mine);
}

#[tokio::test]
async fn least_connections_counts_over_all_workers() {
    let mut rig = Rig::new();
    let vip = rig.free_port();
    let pool = [backend(rig.address), backend(rig.address)];
    let agent = rig.start().await;
    let mut http = listener("http", vip);
    http.balance = Balance::LeastConnections;
    apply_ok(&agent, &state(1, vec![(http, pool.map(at).to_vec())])).await;
    let mut clients: Vec<_> = (0..20).map(|_| crate::traffic::Client::connect(vip).unwrap()).collect();
    let ports: Vec<u16> = clients.iter_mut().map(|c| c.ask().unwrap()).collect();
    let first = ports.iter().filter(|p| **p == pool[0].port()).count();
    assert_eq!(first, 10, "{ports:?}");
}

#[tokio::test]
async fn an_ipv6_listener_serves_ipv4_and_ipv6_backends() {
    let mut rig = Rig::new();
    let six: SocketAddr = TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
    let one = backend(rig.address);
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", six), vec![at(one)])])).await;
    assert_eq!(answering(six), [one.port()].into());
    // The same port of IPv4 is somebody else's.
    let four = SocketAddr::new(IpAddr::V4(rig.address), six.port());
    assert!(TcpListener::bind(four).is_ok());
}

#[tokio::test]
async fn new_connections_spread_though_every_change_is_a_reload() {
    let mut rig = Rig::new();
    let vip = rig.free_port();
    let pool: Vec<SocketAddr> = (0..3).map(|_| backend(rig.address)).collect();
    let agent = rig.start().await;
    let spare = free_port(rig.address);
    let mut kept = Vec::new();
    for revision in 1..=15 {
        let mut backends: Vec<_> = pool.iter().map(|b| at(*b)).collect();
        if revision % 2 == 0 {
            backends.push(at(backend(rig.address)));
        }
        let mut more = listener("more", spare);
        more.allow_empty = true;
        let content = vec![(listener("http", vip), backends), (more, vec![])];
        apply_ok(&agent, &state(revision, content)).await;
        for _ in 0..2 {
            let mut client = crate::traffic::Client::connect(vip).unwrap();
            kept.push((client.ask().unwrap(), client));
        }
    }
    // nginx's own round robin starts at the first server after each reload: 63 of 66 went there.
    let first = kept.iter().filter(|(port, _)| *port == pool[0].port()).count();
    assert!(first < 24, "{first} of {} on the first node", kept.len());
}
