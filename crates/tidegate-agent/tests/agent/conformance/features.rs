//! What clients and backends see of each listener feature; an engine that cannot do one refuses it by name.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use tidegate_agent::AgentHandle;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::{Backend, Balance, Listener, Protocol, ProxyProtocol};
use tidegate_core::engine::{EngineKind, Feature};
use tidegate_core::protocol::Outcome;
use tidegate_core::step::Step;

use super::site::{Site, Subject};
use crate::rig::{apply, apply_ok, rolled_back};
use crate::states::{at, listener, state};
use crate::traffic::{Client, answering, ask_once, backend, connect_from, free_port, own_address, until};

const PATIENCE: Duration = Duration::from_secs(5);

/// Applies a listener that asks for this feature; false when the engine refused it, as the table of core says it must.
async fn applies<S: Subject>(agent: &AgentHandle, feature: Feature, listener: Listener, pool: Vec<Backend>) -> bool {
    let report = apply(agent, &state(1, vec![(listener, pool)])).await;
    let can = S::settings(&std::env::temp_dir()).kind().lacks(feature).is_none();
    match report.outcome {
        Outcome::Applied => assert!(can, "{feature:?} was taken"),
        Outcome::RolledBack { cause } => {
            assert!(!can, "{cause:?}");
            assert_eq!((cause.step, cause.class), (Step::Render, ErrorClass::Permanent));
            assert!(cause.message.contains(feature.as_str()) && cause.cure.contains(feature.key()), "{cause:?}");
        }
        other => panic!("{other:?}"),
    }
    can
}

pub async fn the_backend_is_told_the_clients_address<S: Subject>() {
    for (feature, version) in [(Feature::ProxyV1, ProxyProtocol::V1), (Feature::ProxyV2, ProxyProtocol::V2)] {
        let mut site = Site::<S>::new();
        let vip = site.free_port();
        let backend = TcpListener::bind((site.address, 0)).unwrap();
        let agent = site.start().await;
        let http = Listener { proxy_protocol: version, ..listener("http", vip) };
        if !applies::<S>(&agent, feature, http, vec![at(backend.local_addr().unwrap())]).await {
            continue;
        }
        let mut client = TcpStream::connect(vip).unwrap();
        client.write_all(b"hello").unwrap();
        let (mut seen, _) = backend.accept().unwrap();
        seen.set_read_timeout(Some(PATIENCE)).unwrap();
        let from = client.local_addr().unwrap();
        let expected = proxy_header(version, from, vip);
        let mut got = vec![0; expected.len()];
        seen.read_exact(&mut got).unwrap();
        assert_eq!(got, expected, "{}", String::from_utf8_lossy(&got));
    }
}

/// The header for a TCP connection over IPv4 (haproxy.org, proxy-protocol.txt, 2.1 and 2.2), and `hello`.
fn proxy_header(version: ProxyProtocol, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(target)) = (from.ip(), to.ip()) else { panic!("IPv4 only") };
    if version == ProxyProtocol::V1 {
        return format!("PROXY TCP4 {source} {target} {} {}\r\nhello", from.port(), to.port()).into_bytes();
    }
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(source.octets());
    header.extend(target.octets());
    header.extend(from.port().to_be_bytes());
    header.extend(to.port().to_be_bytes());
    header.extend(b"hello");
    header
}

pub async fn limits_hold<S: Subject>() {
    let mut site = Site::<S>::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let agent = site.start().await;
    let mut http = listener("http", vip);
    http.limits.idle_timeout = Some(Duration::from_secs(1));
    if applies::<S>(&agent, Feature::IdleTimeout, http, vec![at(one)]).await {
        let mut idle = Client::connect(vip).unwrap();
        idle.ask().unwrap();
        std::thread::sleep(Duration::from_millis(2500));
        assert!(idle.ask().is_err(), "it was idle for longer than it may");
    }
    let mut site = Site::<S>::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let agent = site.start().await;
    let mut http = listener("http", vip);
    http.limits.max_connections = std::num::NonZeroU32::new(2);
    if applies::<S>(&agent, Feature::MaxConnections, http, vec![at(one)]).await {
        let mut held: Vec<Client> = (0..2).map(|_| Client::connect(vip).unwrap()).collect();
        for client in &mut held {
            client.ask().unwrap();
        }
        let third = Client::connect(vip).and_then(|mut client| client.ask_within(Duration::from_millis(500)));
        assert!(third.is_err(), "a third connection was served");
        held.clear();
        until("there is room again", || ask_once(vip).is_ok());
    }
}

pub async fn datagrams_go_to_a_backend_and_back<S: Subject>() {
    let mut site = Site::<S>::new();
    let vip = UdpSocket::bind((site.address, 0)).unwrap().local_addr().unwrap();
    let backend = UdpSocket::bind((site.address, 0)).unwrap();
    let agent = site.start().await;
    let dns = Listener { protocol: Protocol::Udp, ..listener("dns", vip) };
    if !applies::<S>(&agent, Feature::Udp, dns, vec![at(backend.local_addr().unwrap())]).await {
        return;
    }

    let client = UdpSocket::bind((site.address, 0)).unwrap();
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
    let Ok(mut stream) = connect_from((from, 0).into(), vip) else { return false };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 1];
    stream.write_all(b"?").is_ok() && stream.read_exact(&mut answer).is_ok()
}

pub async fn clients_outside_the_source_ranges_are_refused<S: Subject>() {
    let mut site = Site::<S>::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let (allowed, other) = (own_address(), own_address());
    let agent = site.start().await;
    let mut http = listener("http", vip);
    http.source_ranges = vec![format!("{allowed}/32").parse().unwrap()];
    apply_ok(&agent, &state(1, vec![(http, vec![at(one)])])).await;
    assert!(reaches(vip, allowed));
    assert!(!reaches(vip, other));
}

pub async fn with_balance_source_a_client_stays_on_its_node<S: Subject>() {
    let mut site = Site::<S>::new();
    let vip = site.free_port();
    let pool: Vec<SocketAddr> = (0..4).map(|_| backend(site.address)).collect();
    let agent = site.start().await;
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

pub async fn least_connections_counts_over_all_workers<S: Subject>() {
    let mut site = Site::<S>::new();
    let vip = site.free_port();
    let pool = [backend(site.address), backend(site.address)];
    let agent = site.start().await;
    let mut http = listener("http", vip);
    http.balance = Balance::LeastConnections;
    if !applies::<S>(&agent, Feature::LeastConnections, http, pool.map(at).to_vec()).await {
        return;
    }
    // One after the other: engines count a connection once its backend has accepted it.
    let ask = |mut client: Client| (client.ask().unwrap(), client);
    let clients: Vec<_> = (0..20).map(|_| ask(Client::connect(vip).unwrap())).collect();
    let ports: Vec<u16> = clients.iter().map(|(port, _)| *port).collect();
    let first = ports.iter().filter(|p| **p == pool[0].port()).count();
    assert_eq!(first, 10, "{ports:?}");
}

pub async fn an_ipv6_listener_serves_ipv4_and_ipv6_backends<S: Subject>() {
    let mut site = Site::<S>::new();
    let six: SocketAddr = TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
    let one = backend(site.address);
    let agent = site.start().await;
    let wanted = state(1, vec![(listener("http", six), vec![at(one)])]);
    if S::settings(&std::env::temp_dir()).kind() == EngineKind::Nftables {
        // Packets are forwarded as they are: there is nobody who could speak the other family.
        let report = apply(&agent, &wanted).await;
        let cause = rolled_back(&report);
        assert!(cause.step == Step::Render && cause.message.contains("does not translate"), "{cause:?}");
        return;
    }
    apply_ok(&agent, &wanted).await;
    assert_eq!(answering(six), [one.port()].into());
    // The same port of IPv4 is somebody else's.
    let four = SocketAddr::new(IpAddr::V4(site.address), six.port());
    assert!(TcpListener::bind(four).is_ok());
}

pub async fn new_connections_spread_over_many_changes<S: Subject>() {
    let mut site = Site::<S>::new();
    let vip = site.free_port();
    let pool: Vec<SocketAddr> = (0..3).map(|_| backend(site.address)).collect();
    let agent = site.start().await;
    let spare = free_port(site.address);
    let mut kept = Vec::new();
    for revision in 1..=15 {
        let mut backends: Vec<_> = pool.iter().map(|b| at(*b)).collect();
        if revision % 2 == 0 {
            backends.push(at(backend(site.address)));
        }
        let mut more = listener("more", spare);
        more.allow_empty = true;
        let content = vec![(listener("http", vip), backends), (more, vec![])];
        apply_ok(&agent, &state(revision, content)).await;
        for _ in 0..2 {
            let mut client = Client::connect(vip).unwrap();
            kept.push((client.ask().unwrap(), client));
        }
    }
    // nginx's own round robin starts at the first server after each reload: 63 of 66 went there.
    let first = kept.iter().filter(|(port, _)| *port == pool[0].port()).count();
    assert!(first < 24, "{first} of {} on the first node", kept.len());
}
