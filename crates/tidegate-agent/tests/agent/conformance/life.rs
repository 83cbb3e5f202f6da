//! An engine's life: changes, drains, deaths, and what others do to it.

use std::time::Duration;

use tidegate_agent::DriftPolicy;
use tidegate_core::protocol::{DriftOutcome, EngineHealth, Outcome};
use tokio::time::timeout;

use super::site::{Site, Subject};
use crate::rig::{apply, apply_ok};
use crate::states::{at, draining, listener, state};
use crate::traffic::{Client, Load, answering, ask_once, backend};

const SOON: Duration = Duration::from_secs(20);

pub async fn planned_changes_lose_nothing<S: Subject>() {
    let mut site = Site::<S>::new();
    let (vip, other) = (site.free_port(), site.free_port());
    let [one, two, three] = [(); 3].map(|()| backend(site.address));
    let http = |pool| (listener("http", vip), pool);
    let agent = site.start().await;
    assert_eq!(agent.status().health, EngineHealth::Idle);
    apply_ok(&agent, &state(1, vec![http(vec![at(one)])])).await;
    assert_eq!(answering(vip), [one.port()].into());
    let load = Load::start(vip);
    load.see(20);
    let https = |pool| (listener("https", other), pool);
    let changes = [
        // Added, then another listener, then the first one drained and gone, then back, then the other listener gone.
        (vec![http(vec![at(one), at(two)])], vec![one, two]),
        (vec![http(vec![at(one), at(two)]), https(vec![at(three)])], vec![one, two]),
        (vec![http(vec![draining(at(one)), at(two)]), https(vec![at(three)])], vec![two]),
        (vec![http(vec![at(one), at(two), at(three)]), https(vec![at(three)])], vec![one, two, three]),
        (vec![http(vec![at(one), at(two), draining(at(three))])], vec![one, two]),
    ];
    for (revision, (content, expected)) in (2..).zip(changes) {
        apply_ok(&agent, &state(revision, content)).await;
        // Once the answer is there, no new connection goes anywhere else.
        assert_eq!(answering(vip), expected.iter().map(std::net::SocketAddr::port).collect(), "{revision}");
        site.check_live_file();
        load.see(20);
    }
    assert_eq!(load.stop(), Vec::<String>::new());
    let status = agent.status();
    assert_eq!((status.health, status.last_error, status.drift), (EngineHealth::Up, None, None));
    assert!(Client::connect(other).is_err(), "the listener that was taken away is closed");
}

pub async fn a_draining_backend_keeps_its_connections<S: Subject>() {
    let mut site = Site::<S>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let mut old = Client::connect(vip).unwrap();
    assert_eq!(old.ask().unwrap(), one.port());
    let report = apply(&agent, &state(2, vec![(listener("http", vip), vec![draining(at(one)), at(two)])])).await;
    assert_eq!(report.outcome, Outcome::Applied, "{report:?}");
    assert_eq!(answering(vip), [two.port()].into());
    assert_eq!(old.ask().unwrap(), one.port());
    // Cancelled: it takes new connections again, and still has the old one.
    apply_ok(&agent, &state(3, vec![(listener("http", vip), vec![at(one), at(two)])])).await;
    assert_eq!(answering(vip), [one.port(), two.port()].into());
    assert_eq!(old.ask().unwrap(), one.port());
}

pub async fn the_engine_outlives_the_agent<S: Subject>() {
    let mut site = Site::<S>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    let wanted = state(7, vec![(listener("http", vip), vec![at(one)])]);
    apply_ok(&agent, &wanted).await;
    let load = Load::start(vip);
    load.see(20);
    agent.shutdown().await;
    load.see(20);
    let agent = site.start().await;
    let status = agent.status();
    assert_eq!((status.health, status.live.unwrap().position, status.reloads), (EngineHealth::Up, wanted.position, 0));
    apply_ok(&agent, &state(8, vec![(listener("http", vip), vec![at(one), at(two)])])).await;
    assert_eq!(answering(vip), [one.port(), two.port()].into());
    assert_eq!(load.stop(), Vec::<String>::new());
}

pub async fn a_killed_engine_comes_back<S: Subject>() {
    // An engine without a process of its own is missed by the audit.
    let mut site = Site::<S>::auditing(DriftPolicy::Repair);
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    site.kill();
    let deadline = tokio::time::Instant::now() + SOON;
    while !ask_once(vip).is_ok_and(|port| port == one.port()) {
        assert!(tokio::time::Instant::now() < deadline, "it does not come back: {:?}", agent.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let up = timeout(SOON, agent.wait_until(|s| s.health == EngineHealth::Up)).await.unwrap();
    assert_eq!(up.live.unwrap().position.revision.0, 1);
    // A push to a dead engine starts it with the new state.
    site.kill();
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
    assert_eq!(agent.status().last_error, None);
}

pub async fn a_foreign_change_is_found_and_undone<S: Subject>() {
    let mut site = Site::<S>::auditing(DriftPolicy::Repair);
    let (vip, one) = (site.free_port(), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    if !S::tamper(site.dir.path()) {
        // Then an audit must find that all is well, again and again.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(agent.status().drift, None);
        return;
    }
    let found = timeout(SOON, agent.wait_until(|s| s.drift.is_some())).await.unwrap();
    let drift = found.drift.unwrap();
    assert_eq!(drift.outcome, DriftOutcome::Repaired, "{drift:?}");
    assert_eq!(answering(vip), [one.port()].into());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &site.registry).unwrap();
    assert!(text.contains("tidegate_drift_total") && text.contains("outcome=\"repaired\""), "{text}");
    // Only told, when that is what was asked for.
    agent.shutdown().await;
    site.audit.drift = DriftPolicy::Report;
    site.registry = prometheus_client::registry::Registry::default();
    let agent = site.start().await;
    assert!(S::tamper(site.dir.path()));
    let found = timeout(SOON, agent.wait_until(|s| s.drift.as_ref().is_some_and(|d| d.times >= 2))).await.unwrap();
    assert_eq!(found.drift.unwrap().outcome, DriftOutcome::Reported);
}

/// Taken by another program: no check can know, only the engine itself.
pub async fn a_refused_configuration_leaves_what_was_live<S: Subject>() {
    let mut site = Site::<S>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let before = std::fs::read(site.live_file()).unwrap();
    let load = Load::start(vip);
    load.see(10);
    let taken = std::net::TcpListener::bind((site.address, 0)).unwrap();
    let content = |at_port| vec![(listener("http", vip), vec![at(one)]), (listener("more", at_port), vec![at(two)])];
    let report = apply(&agent, &state(2, content(taken.local_addr().unwrap()))).await;
    match report.outcome {
        Outcome::RolledBack { cause } => {
            assert!(!cause.message.is_empty() && !cause.cure.is_empty(), "{cause:?}");
            assert_eq!(std::fs::read(site.live_file()).unwrap(), before);
            assert_eq!(agent.status().live.unwrap().position.revision.0, 1);
        }
        // The kernel forwards packets before any socket sees them.
        Outcome::Applied => assert_eq!(answering(taken.local_addr().unwrap()), [two.port()].into()),
        other => panic!("{other:?}"),
    }
    assert_eq!(answering(vip), [one.port()].into());
    assert_eq!(load.stop(), Vec::<String>::new());
}
