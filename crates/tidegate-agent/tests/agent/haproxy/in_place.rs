//! Changes of servers reach the running worker; what leaves keeps its connections.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_agent::DriftPolicy;
use tidegate_agent::command::SystemCommands;
use tidegate_agent::engine::{Pulse, open};
use tokio::time::timeout;

use super::{ask, server, state_of, worker};
use crate::conformance::haproxy::Haproxy;
use crate::conformance::site::{Site, Subject};
use crate::rig::apply_ok;
use crate::states::{at, draining, listener, state, weighing};
use crate::traffic::{Client, LIMIT, Load, answering, backend, until};

/// Over the connections that it has.
fn all_answer(kept: &mut [Client], node: SocketAddr) {
    for client in kept {
        assert_eq!(client.ask().unwrap(), node.port());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_come_drain_and_go_in_one_worker_and_keep_their_connections() {
    let mut site = Site::<Haproxy>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let http = |pool| vec![(listener("http", vip), pool)];
    let agent = site.start().await;
    apply_ok(&agent, &state(1, http(vec![at(one)]))).await;
    let before = worker(&site);
    let mut kept: Vec<Client> = (0..3).map(|_| Client::connect(vip).unwrap()).collect();
    all_answer(&mut kept, one);
    let load = Load::start(vip);
    load.see(5);
    apply_ok(&agent, &state(2, http(vec![at(one), at(two)]))).await;
    apply_ok(&agent, &state(3, http(vec![draining(at(one)), at(two)]))).await;
    load.see(5);
    // The kernel and HAProxy count the same (the load keeps one connection of its own).
    let stat = ask(site.dir.path(), "show stat");
    let line = stat.lines().find(|line| line.starts_with(&format!("http,{},", server(one)))).unwrap();
    let counted = agent.counted_status().await.backends.iter().find(|b| b.draining).unwrap().connections;
    assert_eq!(counted.map(|n| n.to_string()).as_deref(), line.split(',').nth(4));
    assert!(counted >= Some(3), "{counted:?}");
    // Out of the state, and still there for who is connected.
    apply_ok(&agent, &state(4, http(vec![at(two)]))).await;
    all_answer(&mut kept, one);
    assert_eq!(state_of(&site, &server(one)).unwrap()[6], "1", "it waits in maintenance");
    // Back while it waits.
    apply_ok(&agent, &state(5, http(vec![at(one), at(two)]))).await;
    assert_eq!(answering(vip), [one.port(), two.port()].into());
    all_answer(&mut kept, one);
    apply_ok(&agent, &state(6, http(vec![at(two)]))).await;
    assert_eq!(load.stop(), Vec::<String>::new());
    drop(kept);
    until("the last connection is gone, and so is the server", || state_of(&site, &server(one)).is_none());
    assert_eq!((worker(&site), agent.status().old_generations), (before, 0));
}

#[tokio::test]
async fn what_was_stopped_with_connections_left_can_be_started_again() {
    let site = Site::<Haproxy>::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let settings = Haproxy::settings(site.dir.path());
    let engine = open(&settings, &site.dir.path().join("state"), Arc::new(SystemCommands)).await.unwrap();
    let rendering = engine.render(&state(1, vec![(listener("http", vip), vec![at(one)])])).unwrap();
    std::fs::write(site.live_file(), &rendering.text).unwrap();
    let mut old = None;
    for round in 0..2 {
        engine.reload(rendering.generation).await.unwrap().confirm().await.unwrap();
        assert_eq!(answering(vip), [one.port()].into(), "round {round}");
        let mut client = Client::connect(vip).unwrap();
        assert_eq!(client.ask().unwrap(), one.port());
        engine.stop().await.unwrap();
        assert!(Client::connect(vip).is_err(), "it accepts after it was stopped");
        assert!(matches!(engine.pulse(), Pulse::Down { .. }));
        assert_eq!(client.ask().unwrap(), one.port(), "what it has, it finishes");
        old = Some(client);
    }
    drop(old);
}

#[tokio::test]
async fn a_weight_that_somebody_set_is_found_and_set_back() {
    let mut site = Site::<Haproxy>::auditing(DriftPolicy::Repair);
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![weighing(3, at(one)), at(two)])])).await;
    ask(site.dir.path(), &format!("set server http/{} weight 1", server(one)));
    let drift =
        timeout(LIMIT, agent.wait_until(|s| s.drift.is_some())).await.expect("the audit finds it").drift.unwrap();
    assert_eq!(drift.how, format!("server http/{} is not ready with weight 3", server(one)));
    assert_eq!(state_of(&site, &server(one)).unwrap()[7], "3");
}
