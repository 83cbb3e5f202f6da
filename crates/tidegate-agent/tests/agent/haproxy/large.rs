//! Changes among many servers: those that differ are asked for, and what somebody else did to these is found at once.

use std::net::{IpAddr, SocketAddr};

use tidegate_agent::{AgentHandle, DriftPolicy};
use tidegate_core::desired::{Backend, DesiredState};
use tidegate_core::protocol::DriftOutcome;
use tokio::time::timeout;

use super::{ask, server, state_of, worker};
use crate::conformance::haproxy::Haproxy;
use crate::conformance::site::Site;
use crate::rig::apply_ok;
use crate::states::{at, backend, draining, listener, state, weighing};
use crate::traffic::{Client, LIMIT, until};

/// More than are all read back after each change.
const MANY: u16 = 300;

fn pool(count: u16) -> Vec<Backend> {
    let address = |n: u16| IpAddr::from([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
    (0..count).map(|n| backend(&format!("w{n}"), address(n), 80)).collect()
}

#[tokio::test]
async fn a_change_among_5000_servers_is_no_reload() {
    let mut site = Site::<Haproxy>::new();
    let vip = site.free_port();
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), pool(5000))])).await;
    let first = worker(&site);
    for (revision, count) in [(2, 5001), (3, 5000), (4, 4999)] {
        apply_ok(&agent, &state(revision, vec![(listener("http", vip), pool(count))])).await;
        assert_eq!(worker(&site), first, "{count} servers came with another worker");
    }
}

/// Names of all servers that take connections, by HAProxy's own account.
fn ready(site: &Site<Haproxy>) -> Vec<String> {
    let answer = ask(site.dir.path(), "show servers state");
    let words = answer.lines().skip(2).map(|line| line.split(' ').collect::<Vec<_>>());
    let mut names: Vec<String> =
        words.filter(|words| words.get(6) == Some(&"0") && words[7] != "0").map(|words| words[3].to_owned()).collect();
    names.sort();
    names
}

/// Names of all servers of a state that take connections.
fn wanted(state: &DesiredState) -> Vec<String> {
    let active = state.pools.values().flatten().filter(|backend| backend.is_active());
    let mut names: Vec<String> = active.map(|b| server(SocketAddr::new(b.address, b.port))).collect();
    names.sort();
    names
}

async fn applied(site: &Site<Haproxy>, agent: &AgentHandle, state: DesiredState) {
    apply_ok(agent, &state).await;
    assert_eq!(ready(site), wanted(&state), "after {}", state.position);
}

#[tokio::test]
async fn servers_come_drain_go_and_come_back_among_many() {
    let mut site = Site::<Haproxy>::new();
    let vip = site.free_port();
    let agent = site.start().await;
    let http = |revision, pool| state(revision, vec![(listener("http", vip), pool)]);
    applied(&site, &agent, http(1, pool(MANY))).await;
    let before = worker(&site);
    let mut with_drain = pool(MANY);
    with_drain[7] = draining(with_drain[7].clone());
    let without: Vec<Backend> = pool(MANY + 2).into_iter().filter(|b| b.node != pool(8)[7].node).collect();
    for (revision, next) in (2..).zip([pool(MANY + 1), with_drain, without, pool(MANY), pool(MANY - 20)]) {
        applied(&site, &agent, http(revision, next)).await;
    }
    assert_eq!(worker(&site), before, "none of this is a reload");
}

#[tokio::test]
async fn weights_change_among_many_in_one_worker() {
    let mut site = Site::<Haproxy>::new();
    let vip = site.free_port();
    let agent = site.start().await;
    let with = |nth: usize, weight| {
        let mut pool = pool(MANY);
        pool[nth] = weighing(weight, pool[nth].clone());
        pool
    };
    let named = |nth: usize| server(SocketAddr::new(pool(MANY)[nth].address, 80));
    applied(&site, &agent, state(1, vec![(listener("http", vip), pool(MANY))])).await;
    let before = worker(&site);
    // One that grows, shrinks, is another one's, and one that comes with a weight of its own.
    for (revision, nth, weight) in [(2, 5, 3), (3, 5, 100), (4, 5, 2), (5, 7, 9)] {
        applied(&site, &agent, state(revision, vec![(listener("http", vip), with(nth, weight))])).await;
        assert_eq!(state_of(&site, &named(nth)).unwrap()[7], weight.to_string());
    }
    assert_eq!(state_of(&site, &named(5)).unwrap()[7], "1", "like the others again");
    let more = with(7, 9).into_iter().chain([weighing(4, pool(MANY + 1)[usize::from(MANY)].clone())]).collect();
    applied(&site, &agent, state(6, vec![(listener("http", vip), more)])).await;
    assert_eq!(worker(&site), before, "none of this is a reload");
}

#[tokio::test]
async fn what_somebody_did_to_a_server_that_changes_is_no_obstacle() {
    let mut site = Site::<Haproxy>::new();
    let vip = site.free_port();
    let agent = site.start().await;
    let last = format!("http/{}", server(SocketAddr::new(pool(MANY + 1)[usize::from(MANY)].address, 80)));
    // Before it comes, twice; and before it goes.
    let tampers = [
        (MANY + 1, format!("add server {last} 127.0.0.1:1 id 77777; enable server {last}")),
        (MANY, format!("set server {last} state maint; del server {last}")),
        (MANY + 1, format!("add server {last} 10.1.1.44:80 id 77777; enable server {last}")),
    ];
    applied(&site, &agent, state(1, vec![(listener("http", vip), pool(MANY))])).await;
    for (round, (count, tamper)) in (0..).zip(tampers) {
        let said = ask(site.dir.path(), &tamper);
        assert!(said.contains("registered") || said.contains("deleted"), "{tamper}: {said}");
        for (step, count) in (2..).zip([count, count + 1, count]) {
            let next = state(round * 3 + step, vec![(listener("http", vip), pool(count))]);
            applied(&site, &agent, next).await;
        }
    }
}

#[tokio::test]
async fn what_somebody_did_to_another_server_is_found_by_the_audit() {
    let mut site = Site::<Haproxy>::auditing(DriftPolicy::Repair);
    let vip = site.free_port();
    let agent = site.start().await;
    applied(&site, &agent, state(1, vec![(listener("http", vip), pool(MANY))])).await;
    ask(site.dir.path(), &format!("set server http/{} state maint", server(SocketAddr::new(pool(1)[0].address, 80))));
    let changed = state(2, vec![(listener("http", vip), pool(MANY + 1))]);
    apply_ok(&agent, &changed).await;
    let found = timeout(LIMIT, agent.wait_until(|s| s.drift.is_some())).await.expect("the audit finds it");
    assert_eq!(found.drift.unwrap().outcome, DriftOutcome::Repaired);
    assert_eq!(ready(&site), wanted(&changed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_with_connections_waits_and_is_deleted_after_the_last_one() {
    let mut site = Site::<Haproxy>::new();
    let (vip, node) = (site.free_port(), crate::traffic::backend(site.address));
    let agent = site.start().await;
    // Only one has a weight: it gets the connection.
    let others = |count| pool(count).into_iter().map(draining);
    let http = |revision, pool: Vec<Backend>| state(revision, vec![(listener("http", vip), pool)]);
    apply_ok(&agent, &http(1, others(MANY).chain([at(node)]).collect())).await;
    let before = worker(&site);
    let mut client = Client::connect(vip).unwrap();
    assert_eq!(client.ask().unwrap(), node.port());
    apply_ok(&agent, &http(2, pool(MANY))).await;
    assert_eq!(client.ask().unwrap(), node.port());
    assert_eq!(state_of(&site, &server(node)).unwrap()[6], "1", "it waits in maintenance");
    apply_ok(&agent, &http(3, pool(MANY + 1))).await;
    drop(client);
    until("the last connection is gone, and so is the server", || state_of(&site, &server(node)).is_none());
    assert_eq!(worker(&site), before);
}
