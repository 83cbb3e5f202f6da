//! Draining, and what becomes of the connections of a node that is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_agent::Masquerade;
use tidegate_core::desired::Backend;

use super::forwarding::{ALL, PORT, asking, four, pool};
use super::machines::Machines;
use crate::rig::apply_ok;
use crate::states::draining;
use crate::traffic::until;

fn drained(nodes: &[u8], gone: &[u8]) -> Vec<Backend> {
    pool(nodes).into_iter().chain(pool(gone).into_iter().map(draining)).collect()
}

#[tokio::test]
async fn a_drained_node_keeps_what_it_has_and_is_ended_when_it_leaves() {
    let machines = Machines::new(2);
    machines.serve_each(&[1, 2], PORT);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    apply_ok(&agent, &four(1, &pool(&[1]), |_| {})).await;
    let mut old = machines.on_client(|| ALL.map(|(udp, family)| asking(udp, family).unwrap()));
    for a in &mut old {
        assert_eq!(a.ask().unwrap().0, 1);
    }
    // A connection that is none of ours, to the same node and port.
    let mut foreign =
        super::machines::Asking::tcp(SocketAddr::new(Machines::address(1, 4), PORT), Duration::from_secs(3)).unwrap();

    apply_ok(&agent, &four(2, &drained(&[2], &[1]), |_| {})).await;
    for a in &mut old {
        assert_eq!(a.ask().unwrap().0, 1, "a drain keeps them");
    }
    let fresh = machines.on_client(|| ALL.map(|(udp, family)| asking(udp, family).unwrap().ask().unwrap().0));
    assert_eq!(fresh, [2; 4]);
    let counted = agent.counted_status().await;
    let to_old: Vec<u64> = counted
        .backends
        .iter()
        .filter(|b| b.draining && b.listener.to_string() == "t4" && b.address == Machines::address(1, 4))
        .filter_map(|b| b.connections)
        .collect();
    assert_eq!(to_old, [1], "one TCP connection over IPv4 is open to it: {counted:?}");

    apply_ok(&agent, &four(3, &pool(&[2]), |_| {})).await;
    for (mut asking, (udp, _)) in old.into_iter().zip(ALL) {
        match asking.ask() {
            Ok((node, _)) => assert!(udp && node == 2, "datagrams go to the one that is left"),
            Err(error) => assert!(!udp, "{error}"),
        }
    }
    assert_eq!(foreign.ask().unwrap().0, 1);
}

/// New and kept connections and datagrams, in a loop.
struct Load {
    stop: Arc<AtomicBool>,
    ok: Arc<AtomicU64>,
    worker: std::thread::JoinHandle<Vec<String>>,
}

fn load(machines: &Machines) -> Load {
    let (stop, ok) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (ended, counted) = (stop.clone(), ok.clone());
    let worker = machines.on(0, move || {
        let mut failed = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            for (udp, family) in ALL {
                // Several questions on each, as a client with keep-alive does.
                let asked = asking(udp, family).and_then(|mut a| (0..5).try_for_each(|_| a.ask().map(drop)));
                match asked {
                    Ok(()) => drop(counted.fetch_add(5, Ordering::Relaxed)),
                    Err(error) => failed.push(format!("udp {udp} IPv{family}: {error}")),
                }
            }
        }
        failed
    });
    Load { stop, ok, worker }
}

#[tokio::test]
async fn flapping_under_load_loses_nothing() {
    let machines = Machines::new(3);
    machines.serve_each(&[1, 2, 3], PORT);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    apply_ok(&agent, &four(1, &pool(&[1, 2, 3]), |_| {})).await;
    let load = load(&machines);
    let mut revision = 1;
    for _ in 0..10 {
        for pool in [drained(&[1, 2], &[3]), pool(&[1, 2]), pool(&[1, 2, 3])] {
            let more = load.ok.load(Ordering::Relaxed) + 100;
            until("requests succeed", || load.ok.load(Ordering::Relaxed) >= more);
            revision += 1;
            apply_ok(&agent, &four(revision, &pool, |_| {})).await;
        }
    }
    load.stop.store(true, Ordering::Relaxed);
    assert_eq!(load.worker.join().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn clients_of_a_dead_node_are_not_stuck_once_it_is_removed() {
    let machines = Machines::new(2);
    machines.serve_each(&[1, 2], PORT);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    apply_ok(&agent, &four(1, &pool(&[1, 2]), |_| {})).await;
    machines.unplug(1);
    let begun = Instant::now();
    // Half of them are led to the node that is dead.
    let connecting: Vec<_> = (0..8)
        .map(|_| {
            machines.on(0, || {
                let to = SocketAddr::new(Machines::vip(4), 443);
                super::machines::Asking::tcp(to, Duration::from_secs(20)).and_then(|mut a| a.ask())
            })
        })
        .collect();
    until("half of them wait", || connecting.iter().filter(|c| c.is_finished()).count() >= 4);
    assert!(connecting.iter().any(|c| !c.is_finished()), "none was led to the dead node");
    apply_ok(&agent, &four(2, &pool(&[2]), |_| {})).await;
    for asked in connecting {
        assert_eq!(asked.join().unwrap().unwrap().0, 2);
    }
    // The kernel sends a SYN again after 1, 3 and 7 s.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}
