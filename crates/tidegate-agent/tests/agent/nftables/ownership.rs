//! Tables of somebody else, missing rights, and what earlier scripts left.

use std::process::Command;

use tidegate_agent::Masquerade;
use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::Outcome;

use super::forwarding::{PORT, asking, four, pool};
use super::machines::Machines;
use crate::conformance::nftables::run;
use crate::rig::{apply, apply_ok, rolled_back};

fn listing() -> String {
    let output = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    assert!(output.status.success(), "nft itself can list it");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_foreign_table_of_our_name_is_refused_and_left_alone() {
    let machines = Machines::new(1);
    run("nft", &["add table inet tidegate; add chain inet tidegate precious"]);
    let before = listing();
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    let report = apply(&agent, &four(1, &pool(&[1]), |_| {})).await;
    let (Outcome::RolledBack { cause } | Outcome::RollbackFailed { cause, .. }) = &report.outcome else {
        panic!("{report:?}")
    };
    assert!(cause.message.contains("not made by tidegate") && cause.cure.contains("another name"), "{cause:?}");
    assert_eq!(listing(), before);
}

#[tokio::test]
async fn a_change_of_a_table_that_is_not_as_remembered_loads_it_whole() {
    let machines = Machines::new(2);
    machines.serve_each(&[1, 2], PORT);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    for (revision, harm) in [(1, "flush map inet tidegate tcp4-t4"), (3, "delete table inet tidegate")] {
        apply_ok(&agent, &four(revision, &pool(&[1]), |_| {})).await;
        run("nft", &[harm]);
        apply_ok(&agent, &four(revision + 1, &pool(&[1, 2]), |_| {})).await;
        let asked = machines.on_client(|| [(); 4].map(|()| asking(false, 4).unwrap().ask().unwrap().0));
        assert!(asked.contains(&1) && asked.contains(&2), "{harm}: {asked:?}");
    }
}

#[tokio::test]
async fn without_the_right_to_it_the_cure_is_told() {
    let machines = Machines::new(1);
    let [text, powerless] = ["text", "nft"].map(|name| machines.dir.path().join(name));
    std::fs::write(&text, "#!/bin/sh\nexec setpriv --reuid=65534 --clear-groups nft \"$@\"\n").unwrap();
    // By a program of its own: a file that this process has written may be open in the child of another test (ETXTBSY).
    run("install", &["-m", "755", text.to_str().unwrap(), powerless.to_str().unwrap()]);
    let mut settings = machines.settings(Masquerade::Always);
    settings.binary = powerless;
    let agent = machines.agent(settings).await;
    let report = apply(&agent, &four(1, &pool(&[1]), |_| {})).await;
    let cause = rolled_back(&report);
    assert_eq!(cause.class, ErrorClass::Permanent);
    assert!(cause.cure.contains("CAP_NET_ADMIN"), "{cause:?}");
}

#[tokio::test]
async fn nothing_is_left_of_listeners_that_are_gone() {
    let machines = Machines::new(1);
    machines.serve(1, PORT);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    apply_ok(&agent, &four(1, &pool(&[1]), |_| {})).await;
    let mut less = four(2, &pool(&[1]), |_| {});
    less.listeners.truncate(3);
    less.pools.retain(|name, _| name.to_string() != "u6");
    less.hash = less.content_hash();
    apply_ok(&agent, &less).await;
    assert!(!listing().contains("udp6-u6") && listing().contains("tcp6-t6"));
    // Also when another agent, which remembers nothing, finds it.
    agent.shutdown().await;
    run("nft", &["add map inet tidegate tcp4-old { typeof numgen inc mod 65536 : ip daddr . tcp dport; }"]);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    assert!(!listing().contains("tcp4-old"), "{:?}", agent.status());
    assert!(machines.on_client(|| asking(false, 4).unwrap().ask().is_ok()));
}
