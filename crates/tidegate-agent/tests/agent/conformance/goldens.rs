//! One golden file for each feature of a listener; each is also fed to the engine's own checker.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tidegate-agent golden` writes them anew.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_agent::engine::preview;
use tidegate_core::desired::{Backend, Balance, DesiredState, Listener, Protocol, ProxyProtocol};
use tidegate_core::engine::unsupported;

use super::site::Subject;
use crate::states::{backend, draining, listener, state, weighing};

pub fn bind(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub fn pool(count: u8, port: u16) -> Vec<Backend> {
    (1..=count).map(|n| backend(&format!("w{n}"), [10, 0, 0, n].into(), port)).collect()
}

pub fn one(change: impl Fn(&mut Listener), pool: Vec<Backend>) -> DesiredState {
    let mut listener = listener("http", bind(18080));
    change(&mut listener);
    state(1, vec![(listener, pool)])
}

/// The last of three drains.
fn weighted(weights: [u8; 3]) -> Vec<Backend> {
    let mut pool: Vec<Backend> = pool(3, 80).into_iter().zip(weights).map(|(b, weight)| weighing(weight, b)).collect();
    pool[2] = draining(pool[2].clone());
    pool
}

/// Every feature, in a state of its own.
fn features() -> Vec<(&'static str, DesiredState)> {
    let ranges = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "172.16.5.9/12"].map(|r| r.parse().unwrap());
    let six = vec![backend("w1", "fd00::1".parse().unwrap(), 80), backend("w2", "10.0.0.2".parse().unwrap(), 80)];
    let mut drains = pool(3, 80);
    drains[1] = draining(drains[1].clone());
    let idle = Listener { allow_empty: true, ..listener("idle", bind(18081)) };
    let dns = Listener { protocol: Protocol::Udp, ..listener("dns", bind(18080)) };
    let content = |more| {
        let mut content =
            vec![(listener("http", bind(18080)), pool(2, 30080)), (listener("https", bind(18443)), pool(2, 30443))];
        content.extend(more);
        state(1, content)
    };
    let limits = |l: &mut Listener| {
        l.limits.idle_timeout = Some(Duration::from_secs(90));
        l.limits.max_connections = std::num::NonZeroU32::new(1000);
    };
    vec![
        ("tcp", one(|_| {}, pool(3, 80))),
        ("udp", one(|l| l.protocol = Protocol::Udp, pool(2, 53))),
        ("proxy-protocol-v1", one(|l| l.proxy_protocol = ProxyProtocol::V1, pool(2, 80))),
        ("proxy-protocol-v2", one(|l| l.proxy_protocol = ProxyProtocol::V2, pool(2, 80))),
        ("least-connections", one(|l| l.balance = Balance::LeastConnections, pool(2, 80))),
        ("source", one(|l| l.balance = Balance::Source, pool(2, 80))),
        ("source-ranges", one(|l| l.source_ranges = ranges.to_vec(), pool(2, 80))),
        ("ipv6", one(|l| l.bind = "[::1]:18080".parse().unwrap(), six)),
        ("several-listeners", content(vec![])),
        ("tcp-and-udp", content(vec![(dns, pool(2, 30053))])),
        ("weights", one(|_| {}, weighted([6, 4, 5]))),
        ("weights-least-connections", one(|l| l.balance = Balance::LeastConnections, weighted([1, 100, 1]))),
        ("weights-source", one(|l| l.balance = Balance::Source, weighted([20, 10, 1]))),
        ("draining", one(|_| {}, drains)),
        ("limits", one(limits, pool(2, 80))),
        ("connect-timeout", one(|l| l.limits.connect_timeout = Some(Duration::from_millis(250)), pool(2, 80))),
        ("allow-empty", state(1, vec![(idle.clone(), vec![]), (listener("http", bind(18080)), pool(1, 80))])),
        ("nothing", state(1, vec![(idle, vec![])])),
    ]
}

pub fn every_feature_has_its_golden_file<S: Subject>() {
    let settings = S::settings(Path::new("/var/lib/tidegate"));
    let kind = settings.kind();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/agent/golden").join(kind.as_str());
    let extension = settings.config_file().extension().unwrap().to_str().unwrap().to_owned();
    let (mut expected, update) = (Vec::new(), std::env::var_os("UPDATE_GOLDEN").is_some());
    std::fs::create_dir_all(&folder).unwrap();
    for (name, state) in features() {
        let rendered = preview(&settings, Path::new("/var/lib/tidegate/state")).unwrap().render(&state);
        let refused: Vec<_> = state.listeners.iter().flat_map(|l| unsupported(kind, l)).collect();
        if let Some(refused) = refused.first() {
            assert!(rendered.unwrap_err().message.contains(&refused.to_string()), "{name}");
            continue;
        }
        let (file, text) = (folder.join(format!("{name}.{extension}")), rendered.unwrap().text);
        if update {
            std::fs::write(&file, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&file).unwrap(), "{}", file.display());
        expected.push(file.file_name().unwrap().to_owned());
        passes_the_checker::<S>(name, &state);
    }
    let mut found: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "golden files without a feature");
}

/// The same text where its files may be made.
fn passes_the_checker<S: Subject>(name: &str, state: &DesiredState) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["conf", "state"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let settings = S::settings(dir.path());
    let text = preview(&settings, &dir.path().join("state")).unwrap().render(state).unwrap().text;
    std::fs::write(settings.config_file(), text).unwrap();
    assert_eq!(S::check(settings.config_file()), Ok(()), "{name}");
}

pub fn five_thousand_backends_pass_in_every_balance_mode<S: Subject>() {
    let kind = S::settings(Path::new("/var/lib/tidegate")).kind();
    for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::Source] {
        let address = |n: u16| [10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]].into();
        let pool = (1..=5000).map(|n| backend(&format!("w{n}"), address(n), 80));
        // More weight together than the kernel gets slots for.
        let weighted = (1..=5000_u32).map(|n| u8::try_from(1 + n % 100).unwrap()).zip(pool.clone());
        let weighted = weighted.map(|(weight, backend)| weighing(weight, backend)).collect();
        for pool in [pool.collect(), weighted] {
            let state = one(|l| l.balance = balance, pool);
            if state.listeners.iter().all(|l| unsupported(kind, l).is_empty()) {
                passes_the_checker::<S>("5,000 backends", &state);
            }
        }
    }
}
