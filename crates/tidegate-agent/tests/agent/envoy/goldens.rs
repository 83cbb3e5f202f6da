//! One golden file for each feature; each is also fed to Envoy's own checker.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tidegate-agent golden` writes them anew.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_agent::{AgentSettings, AuditSettings, EngineSettings, EnvoySettings, render_for, render_to_string};
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::{Backend, Balance, DesiredState, Limits, Listener, Protocol, ProxyProtocol};
use tidegate_core::step::Step;

use crate::conformance::envoy::check_text;
use crate::states::{backend, draining, listener, state};

fn bind(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn pool(count: u8, port: u16) -> Vec<Backend> {
    (1..=count).map(|n| backend(&format!("w{n}"), [10, 0, 0, n].into(), port)).collect()
}

fn rendered(state: &DesiredState) -> String {
    let state_dir = PathBuf::from("/var/lib/tidegate");
    let engine = EngineSettings::Envoy(EnvoySettings::new(state_dir.join("envoy.json")));
    let settings =
        AgentSettings { cluster: None, state_dir, engine, take_over: false, audit: AuditSettings::default() };
    render_for(&settings, state).unwrap()
}

fn golden(name: &str, state: &DesiredState) {
    let text = rendered(state);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/golden/envoy").join(format!("{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&file).unwrap(), "{}", file.display());
    assert_eq!(check_text(&text), Ok(()), "{name}");
}

fn one(change: impl Fn(&mut Listener), pool: Vec<Backend>) -> DesiredState {
    let mut listener = listener("http", bind(18080));
    change(&mut listener);
    state(1, vec![(listener, pool)])
}

#[test]
fn golden_envoy_tcp() {
    golden("tcp", &one(|_| {}, pool(3, 80)));
}

#[test]
fn golden_envoy_udp() {
    golden("udp", &one(|l| (l.protocol, l.balance) = (Protocol::Udp, Balance::Source), pool(2, 53)));
}

#[test]
fn golden_envoy_proxy_protocol() {
    golden("proxy-protocol-v1", &one(|l| l.proxy_protocol = ProxyProtocol::V1, pool(2, 80)));
    golden("proxy-protocol-v2", &one(|l| l.proxy_protocol = ProxyProtocol::V2, pool(2, 80)));
}

#[test]
fn golden_envoy_balance() {
    golden("least-connections", &one(|l| l.balance = Balance::LeastConnections, pool(2, 80)));
    golden("source", &one(|l| l.balance = Balance::Source, pool(2, 80)));
}

#[test]
fn golden_envoy_source_ranges() {
    let ranges = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "172.16.5.9/12"].map(|r| r.parse().unwrap());
    golden("source-ranges", &one(|l| l.source_ranges = ranges.to_vec(), pool(2, 80)));
}

#[test]
fn golden_envoy_limits() {
    let limits = Limits {
        idle_timeout: Some(Duration::from_millis(90_500)),
        connect_timeout: Some(Duration::from_millis(250)),
        max_connections: NonZeroU32::new(1000),
    };
    golden("limits", &one(|l| l.limits = limits, pool(1, 80)));
}

#[test]
fn golden_envoy_ipv6() {
    let pool = vec![backend("w1", "fd00::1".parse().unwrap(), 80), backend("w2", "10.0.0.2".parse().unwrap(), 80)];
    golden("ipv6", &one(|l| l.bind = "[::1]:18080".parse().unwrap(), pool));
}

#[test]
fn golden_envoy_draining_backends_stay() {
    let mut pool = pool(3, 80);
    pool[1] = draining(pool[1].clone());
    golden("draining", &one(|_| {}, pool));
}

#[test]
fn golden_envoy_several_listeners_and_an_empty_pool() {
    let mut empty = listener("idle", bind(18081));
    empty.allow_empty = true;
    let content = vec![
        (listener("http", bind(18080)), pool(2, 80)),
        (empty, vec![]),
        (listener("https", bind(18443)), pool(1, 443)),
    ];
    golden("several-listeners", &state(1, content));
}

#[test]
fn golden_envoy_nothing_to_serve_is_a_valid_configuration() {
    let mut empty = listener("idle", bind(18081));
    empty.allow_empty = true;
    golden("nothing", &state(1, vec![(empty, vec![])]));
}

#[test]
fn what_envoy_cannot_do_is_refused_by_name_with_a_cure() {
    let engine = EngineSettings::Envoy(EnvoySettings::new("/etc/tidegate/envoy.json"));
    let udp = |change: fn(&mut Listener)| {
        let udp = one(
            |l| {
                l.protocol = Protocol::Udp;
                change(l)
            },
            pool(1, 53),
        );
        render_to_string(&engine, &udp).unwrap_err()
    };
    let refused = [
        udp(|l| l.source_ranges = vec!["10.0.0.0/8".parse().unwrap()]),
        udp(|l| l.limits.max_connections = NonZeroU32::new(1)),
        udp(|l| l.proxy_protocol = ProxyProtocol::V2),
    ];
    for failure in refused {
        assert_eq!((failure.step, failure.class), (Step::Render, ErrorClass::Permanent));
        assert!(failure.message.contains("listener http") && failure.cure.contains("remove"), "{failure:?}");
    }
}
