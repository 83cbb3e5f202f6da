//! One golden file for each feature; each is also fed to nft's own checker.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tidegate-agent nftables::goldens` writes them anew.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::Command;

use tidegate_agent::{EngineSettings, Masquerade, NftablesSettings, render_to_string};
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::{Backend, Balance, DesiredState, Listener, ProxyProtocol};
use tidegate_core::step::Step;

use crate::conformance::nftables::enter_a_namespace;
use crate::conformance::nginx::checked;
use crate::states::{backend, listener, state};

fn pool(count: u8) -> Vec<Backend> {
    let v4 = (1..=count).map(|n| backend(&format!("w{n}"), [10, 0, 0, n].into(), 30080));
    let v6 = (1..=count).map(|n| backend(&format!("w{n}"), format!("fd00::{n}").parse().unwrap(), 30080));
    v4.chain(v6).collect()
}

fn engine(change: impl Fn(&mut NftablesSettings)) -> EngineSettings {
    let mut settings = NftablesSettings::new("/etc/tidegate/nftables.nft");
    change(&mut settings);
    EngineSettings::Nftables(settings)
}

fn one(change: impl Fn(&mut Listener), pool: Vec<Backend>) -> DesiredState {
    let mut listener = listener("http", SocketAddr::from(([192, 0, 2, 1], 80)));
    change(&mut listener);
    state(1, vec![(listener, pool)])
}

fn golden(name: &str, engine: &EngineSettings, state: &DesiredState) {
    let text = render_to_string(engine, state).unwrap();
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/agent/golden/nftables-only").join(format!("{name}.nft"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&file).unwrap(), "{}", file.display());
    enter_a_namespace();
    assert_eq!(checked(Command::new("nft").args(["-c", "-f"]).arg(&file)), Ok(()), "{name}");
    // Over itself as well, and nft can still list it: 1.0.6 crashes on maps whose key is a hash.
    for _ in 0..2 {
        assert_eq!(checked(Command::new("nft").arg("-f").arg(&file)), Ok(()), "{name}");
    }
    assert!(checked(Command::new("nft").args(["list", "ruleset"])).is_ok(), "{name}");
}

#[test]
fn what_only_this_engine_has_has_its_script() {
    let own = engine(|_| {});
    // Those that every engine has are in conformance/goldens.rs.
    golden("every-address", &own, &one(|l| l.bind = "0.0.0.0:80".parse().unwrap(), pool(2)));
    golden("max-connections", &own, &one(|l| l.limits.max_connections = NonZeroU32::new(1000), pool(2)));
    golden("no-masquerade", &engine(|s| s.masquerade = Masquerade::Never), &one(|_| {}, pool(1)));
    golden("other-table", &engine(|s| s.table = "second".to_owned()), &one(|_| {}, pool(1)));
}

#[test]
fn a_hash_spreads_over_slots_and_passes_the_checker() {
    let text = render_to_string(&engine(|_| {}), &one(|l| l.balance = Balance::Source, pool(3))).unwrap();
    assert!(text.contains("jhash ip saddr mod 1024 seed 0x71de6a7e map @tcp4-http"), "{text}");
    enter_a_namespace();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    assert_eq!(checked(Command::new("nft").arg("-f").arg(file.path())), Ok(()));
    assert!(checked(Command::new("nft").args(["list", "ruleset"])).is_ok());
}

#[test]
fn what_nat_cannot_do_is_refused_with_a_cure() {
    let refused = |change: &dyn Fn(&mut Listener), pool| {
        let failure = render_to_string(&engine(|_| {}), &one(change, pool)).unwrap_err();
        assert_eq!((failure.step, failure.class), (Step::Render, ErrorClass::Permanent));
        (failure.message, failure.cure)
    };
    assert!(refused(&|l| l.balance = Balance::LeastConnections, pool(1)).1.contains("roundRobin"));
    assert!(refused(&|l| l.proxy_protocol = ProxyProtocol::V1, pool(1)).1.contains("haproxy"));
    let v6_only = vec![backend("w1", "fd00::1".parse().unwrap(), 80)];
    let (message, cure) = refused(&|_| {}, v6_only);
    assert!(message.contains("IPv6 addresses only") && cure.contains("IPv6 address"), "{message}; {cure}");
}
