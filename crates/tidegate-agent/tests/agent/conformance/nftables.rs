//! NAT of the kernel, in a network namespace of each test's own.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tidegate_agent::{EngineSettings, NftablesSettings};

use super::interposed::{Fault, Wrapper};
use super::nginx::checked;
use super::site::Subject;

pub struct Nftables;

/// Moves this thread, and what it starts, into a new network namespace that is gone with the last of them. Needs root.
pub fn enter_a_namespace() {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("tg-nft-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    run("ip", &["netns", "add", &name]);
    let file = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
    let entered = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
    // Its name is not needed any more; the threads inside keep it.
    run("ip", &["netns", "delete", &name]);
    entered.unwrap();
    run("ip", &["link", "set", "lo", "up"]);
}

pub fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} (needs root): {text}");
}

impl Subject for Nftables {
    const LANES: u64 = 4;

    fn enter() {
        enter_a_namespace();
    }

    fn settings(dir: &Path) -> EngineSettings {
        let wrapper = Wrapper::path(dir, "nft");
        let binary = if wrapper.exists() { wrapper } else { "nft".into() };
        EngineSettings::Nftables(NftablesSettings { binary, ..NftablesSettings::new(dir.join("conf/nftables.nft")) })
    }

    fn check(file: &Path) -> Result<(), String> {
        checked(Command::new("nft").args(["-c", "-f"]).arg(file))
    }

    fn kill(_: &Path) {
        _ = Command::new("nft").args(["delete", "table", "inet", "tidegate"]).output();
    }

    /// The kernel needs none.
    fn processes(_: &Path) -> Vec<i32> {
        Vec::new()
    }

    fn interpose(dir: &Path) {
        Wrapper::write(dir, "nft");
    }

    fn hang(dir: &Path) -> Fault {
        Box::new(Wrapper::told(dir, "nft", "hang"))
    }

    fn impersonate(dir: &Path) -> Fault {
        Box::new(Wrapper::told(dir, "nft", "nonsense"))
    }

    /// Somebody takes a backend away by hand.
    fn tamper(_: &Path) -> bool {
        run("nft", &["flush", "map", "inet", "tidegate", "tcp4-http"]);
        true
    }
}
