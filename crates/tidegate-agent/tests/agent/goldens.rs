//! One golden file for each feature; each is also fed to nginx's own checker.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tidegate-agent golden` writes them anew.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate_agent::{AgentSettings, AuditSettings, EngineSettings, NginxSettings, render_for, render_to_string};
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::{Backend, Balance, DesiredState, Listener, Protocol, ProxyProtocol};
use tidegate_core::step::Step;

use crate::states::{backend, draining, listener, state};

fn bind(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn pool(count: u8, port: u16) -> Vec<Backend> {
    (1..=count).map(|n| backend(&format!("w{n}"), [10, 0, 0, n].into(), port)).collect()
}

fn settings(state_dir: &Path, change: impl Fn(&mut NginxSettings)) -> AgentSettings {
    let mut nginx = NginxSettings::new(state_dir.join("nginx.conf"));
    nginx.workers = NonZeroU16::new(2);
    change(&mut nginx);
    AgentSettings {
        cluster: None,
        state_dir: state_dir.to_owned(),
        engine: EngineSettings::Nginx(nginx),
        take_over: false,
        audit: AuditSettings::default(),
    }
}

/// What nginx itself says of a text.
fn nginx_check(dir: &Path, text: &str) -> Result<(), String> {
    let file = dir.join("checked.conf");
    std::fs::write(&file, text).unwrap();
    let output = Command::new("nginx").args(["-t", "-q", "-e", "stderr", "-c"]).arg(&file).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn golden(name: &str, state: &DesiredState) {
    golden_with(name, state, |_| {});
}

fn golden_with(name: &str, state: &DesiredState, change: impl Fn(&mut NginxSettings)) {
    let rendered = |dir: &Path| render_for(&settings(dir, &change), state).unwrap();
    let text = rendered(Path::new("/var/lib/tidegate"));
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/agent/golden").join(format!("{name}.conf"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&file).unwrap(), "{}", file.display());
    // The same text where its files may be made.
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(nginx_check(dir.path(), &rendered(dir.path())), Ok(()));
}

fn one(change: impl Fn(&mut Listener), pool: Vec<Backend>) -> DesiredState {
    let mut listener = listener("http", bind(18080));
    change(&mut listener);
    state(1, vec![(listener, pool)])
}

#[test]
fn golden_tcp() {
    golden("tcp", &one(|_| {}, pool(3, 80)));
}

#[test]
fn golden_udp() {
    golden("udp", &one(|l| l.protocol = Protocol::Udp, pool(2, 53)));
}

#[test]
fn golden_proxy_protocol_v1() {
    golden("proxy-protocol-v1", &one(|l| l.proxy_protocol = ProxyProtocol::V1, pool(2, 80)));
}

#[test]
fn golden_least_connections() {
    golden("least-connections", &one(|l| l.balance = Balance::LeastConnections, pool(2, 80)));
}

#[test]
fn golden_source() {
    golden("source", &one(|l| l.balance = Balance::Source, pool(2, 80)));
}

#[test]
fn golden_source_ranges() {
    let ranges = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "172.16.5.9/12"].map(|r| r.parse().unwrap());
    golden("source-ranges", &one(|l| l.source_ranges = ranges.to_vec(), pool(2, 80)));
}

#[test]
fn golden_ipv6() {
    let pool = vec![backend("w1", "fd00::1".parse().unwrap(), 80), backend("w2", "10.0.0.2".parse().unwrap(), 80)];
    golden("ipv6", &one(|l| l.bind = "[::1]:18080".parse().unwrap(), pool));
}

#[test]
fn golden_several_listeners() {
    let mut dns = listener("dns", bind(18080));
    dns.protocol = Protocol::Udp;
    let content = vec![
        (listener("http", bind(18080)), pool(2, 30080)),
        (listener("https", bind(18443)), pool(2, 30443)),
        (dns, pool(2, 30053)),
    ];
    golden("several-listeners", &state(1, content));
}

#[test]
fn golden_draining_backends_are_left_out() {
    let mut pool = pool(3, 80);
    pool[1] = draining(pool[1].clone());
    golden("draining", &one(|_| {}, pool));
}

#[test]
fn golden_an_empty_pool_opens_no_listener() {
    let mut empty = listener("idle", bind(18081));
    empty.allow_empty = true;
    golden("allow-empty", &state(1, vec![(empty, vec![]), (listener("http", bind(18080)), pool(1, 80))]));
}

#[test]
fn golden_nothing_to_serve_is_a_valid_configuration() {
    let mut empty = listener("idle", bind(18081));
    empty.allow_empty = true;
    golden("nothing", &state(1, vec![(empty, vec![])]));
}

#[test]
fn golden_worker_shutdown_timeout() {
    let limit = Some(Duration::from_secs(90));
    golden_with("worker-shutdown-timeout", &one(|_| {}, pool(1, 80)), |n| n.worker_shutdown_timeout = limit);
}

#[test]
fn five_thousand_backends_pass_in_every_balance_mode() {
    let dir = tempfile::tempdir().unwrap();
    for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::Source] {
        let address = |n: u16| [10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]].into();
        let pool = (0..5000).map(|n| backend(&format!("w{n}"), address(n), 80)).collect();
        let text = render_for(&settings(dir.path(), |_| {}), &one(|l| l.balance = balance, pool)).unwrap();
        assert_eq!(nginx_check(dir.path(), &text), Ok(()), "{balance:?}");
    }
}

#[test]
fn what_nginx_cannot_do_is_refused_by_name_with_a_cure() {
    let engine = EngineSettings::Nginx(NginxSettings::new("/etc/tidegate/nginx.conf"));
    let v2 = one(|l| l.proxy_protocol = ProxyProtocol::V2, pool(1, 80));
    let failure = render_to_string(&engine, &v2).unwrap_err();
    assert_eq!((failure.step, failure.class), (Step::Render, ErrorClass::Permanent));
    assert!(failure.message.contains("listener http") && failure.cure.contains("v1"), "{failure:?}");

    let change = |l: &mut Listener| (l.protocol, l.proxy_protocol) = (Protocol::Udp, ProxyProtocol::V1);
    let failure = render_to_string(&engine, &one(change, pool(1, 80))).unwrap_err();
    assert!(failure.message.contains("udp") && failure.cure.contains("remove proxyProtocol"), "{failure:?}");
}

#[test]
fn the_text_depends_on_nothing_but_state_and_settings() {
    let engine = EngineSettings::Nginx(NginxSettings::new("/etc/tidegate/nginx.conf"));
    let content = || vec![(listener("http", bind(18080)), pool(3, 80))];
    assert_eq!(render_to_string(&engine, &state(1, content())), render_to_string(&engine, &state(2, content())));
    let other = vec![(listener("http", bind(18080)), pool(2, 80))];
    assert_ne!(render_to_string(&engine, &state(1, content())), render_to_string(&engine, &state(1, other)));
}
