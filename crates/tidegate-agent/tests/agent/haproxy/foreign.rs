//! What others do to a worker by its Runtime API, and to its socket.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tidegate_agent::DriftPolicy;
use tidegate_core::protocol::DriftOutcome;
use tokio::time::timeout;

use super::{ask, server, worker};
use crate::conformance::haproxy::Haproxy;
use crate::conformance::site::Site;
use crate::rig::{apply_ok, command_line};
use crate::states::{at, listener, state};
use crate::traffic::{LIMIT, Load, answering, backend};

/// Tampers with the first of two servers and waits until the audit has repaired it.
async fn repaired_after(tamper: impl Fn(&str) -> String) {
    let mut site = Site::<Haproxy>::auditing(DriftPolicy::Repair);
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one), at(two)])])).await;
    let said = ask(site.dir.path(), &tamper(&format!("http/{}", server(one))));
    let found = timeout(LIMIT, agent.wait_until(|s| s.drift.is_some())).await;
    let drift = found.unwrap_or_else(|_| panic!("not found: {said}")).drift.unwrap();
    assert_eq!(drift.outcome, DriftOutcome::Repaired, "{drift:?} {:?}", agent.status().last_error);
    assert_eq!(answering(vip), [one.port(), two.port()].into());
}

#[tokio::test]
async fn a_server_that_somebody_moved_is_brought_back() {
    repaired_after(|at| format!("set server {at} addr 127.0.0.1 port 1")).await;
}

#[tokio::test]
async fn a_server_that_somebody_declared_down_is_brought_back() {
    repaired_after(|at| format!("set server {at} health down")).await;
}

#[tokio::test]
async fn a_server_that_somebody_drained_is_brought_back() {
    repaired_after(|at| format!("set server {at} state drain")).await;
}

#[tokio::test]
async fn a_server_that_somebody_added_or_deleted_is_put_right() {
    repaired_after(|_| "add server http/guest 127.0.0.1:1; enable server http/guest".to_owned()).await;
    repaired_after(|at| format!("set server {at} state maint; del server {at}")).await;
}

/// Whoever answers at the path of the stats socket instead of HAProxy.
fn impostor(site: &Site<Haproxy>, answer: Option<&'static [u8]>) {
    let path = site.dir.path().join("state/haproxy-stats.sock");
    std::fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for mut stream in listener.incoming().flatten() {
            match answer {
                Some(answer) => drop(stream.write_all(answer)),
                None => silent.push(stream),
            }
        }
    });
}

#[tokio::test]
async fn a_socket_that_is_gone_hangs_or_answers_garbage_costs_no_request() {
    let mut site = Site::<Haproxy>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let load = Load::start(vip);
    load.see(10);
    let answers: [Option<&'static [u8]>; 4] =
        [None, Some(b""), Some(b"\xff\0;\n\n"), Some(b"description: x\nPid: -1\n\n")];
    for (revision, answer) in (2..).zip(answers) {
        impostor(&site, answer);
        let began = Instant::now();
        let pool = if revision % 2 == 0 { vec![at(one), at(two)] } else { vec![at(two)] };
        apply_ok(&agent, &state(revision, vec![(listener("http", vip), pool)])).await;
        assert!(began.elapsed() < Duration::from_secs(15), "{answer:?} took {:?}", began.elapsed());
        load.see(10);
    }
    std::fs::remove_file(site.dir.path().join("state/haproxy-stats.sock")).unwrap();
    apply_ok(&agent, &state(9, vec![(listener("http", vip), vec![at(one)])])).await;
    // Over a reload as well: the new worker inherits a socket without a path.
    let content = vec![(listener("http", vip), vec![at(one)]), (listener("more", site.free_port()), vec![at(two)])];
    apply_ok(&agent, &state(10, content)).await;
    apply_ok(&agent, &state(11, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
    assert_eq!(load.stop(), Vec::<String>::new());
}

#[tokio::test]
async fn a_worker_that_hangs_gets_a_successor() {
    let mut site = Site::<Haproxy>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let before = worker(&site);
    let pid = Pid::from_raw(before.trim_start_matches("Pid: ").parse().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
    assert_ne!(worker(&site), before);
    // The kernel would have gone on giving it connections.
    assert_eq!(command_line(pid.as_raw_nonzero().get()), "");
}
