//! Streams and datagrams of both families, with and without the client's address; source affinity.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_agent::Masquerade;
use tidegate_core::desired::{Backend, Balance, DesiredState, Listener, Protocol};

use super::machines::{Asking, Machines};
use crate::rig::apply_ok;
use crate::states::{backend, listener, state};

const SOON: Duration = Duration::from_secs(3);
pub const PORT: u16 = 8080;

pub fn pool(nodes: &[u8]) -> Vec<Backend> {
    let node = |n: &u8| [4, 6].map(|family| backend(&format!("n{n}"), Machines::address(*n, family), PORT));
    nodes.iter().flat_map(node).collect()
}

/// A listener for each of the four: TCP and UDP, IPv4 and IPv6.
pub fn four(revision: u64, pool: &[Backend], change: impl Fn(&mut Listener)) -> DesiredState {
    let one = |(name, protocol, family)| {
        let mut one = listener(name, SocketAddr::new(Machines::vip(family), 443));
        one.protocol = protocol;
        change(&mut one);
        (one, pool.to_vec())
    };
    let [tcp, udp] = [Protocol::Tcp, Protocol::Udp];
    state(revision, [("t4", tcp, 4), ("u4", udp, 4), ("t6", tcp, 6), ("u6", udp, 6)].map(one).to_vec())
}

pub fn asking(udp: bool, family: u8) -> std::io::Result<Asking> {
    let to = SocketAddr::new(Machines::vip(family), 443);
    if udp { Asking::udp(to, SOON) } else { Asking::tcp(to, SOON) }
}

pub const ALL: [(bool, u8); 4] = [(false, 4), (true, 4), (false, 6), (true, 6)];

async fn forwards(masquerade: Masquerade) {
    let machines = Machines::new(2);
    machines.serve_each(&[1, 2], PORT);
    let agent = machines.agent(machines.settings(masquerade)).await;
    apply_ok(&agent, &four(1, &pool(&[1, 2]), |_| {})).await;
    for (udp, family) in ALL {
        let seen: BTreeSet<(u8, String)> =
            machines.on_client(move || (0..10).map(|_| asking(udp, family).unwrap().ask().unwrap()).collect());
        let whom = |n: u8| match masquerade {
            Masquerade::Never => Machines::address(0, family).to_string(),
            Masquerade::Always if family == 4 => format!("10.78.{n}.1"),
            Masquerade::Always => format!("fd78:{n}::1"),
        };
        assert_eq!(seen, [1, 2].map(|n| (n, whom(n))).into(), "udp {udp} IPv{family}");
    }
    // From the load balancer's own machine as well.
    let own = asking(false, 4).unwrap().ask().unwrap();
    assert!([1, 2].contains(&own.0));
}

#[tokio::test]
async fn nodes_see_the_load_balancer_when_it_masquerades() {
    forwards(Masquerade::Always).await;
}

#[tokio::test]
async fn nodes_see_the_client_when_it_does_not() {
    forwards(Masquerade::Never).await;
}

#[tokio::test]
async fn a_client_stays_on_its_node_while_others_come_and_go() {
    let machines = Machines::new(3);
    machines.serve_each(&[1, 2, 3], PORT);
    let agent = machines.agent(machines.settings(Masquerade::Always)).await;
    let source = |l: &mut Listener| l.balance = Balance::Source;
    apply_ok(&agent, &four(1, &pool(&[1, 2, 3]), source)).await;
    let answering = || -> BTreeSet<u8> {
        machines.on_client(|| (0..20).map(|_| asking(false, 4).unwrap().ask().unwrap().0).collect())
    };
    let before = answering();
    assert_eq!(before.len(), 1, "one client, one node");
    let chosen = before.first().copied().unwrap();
    let other = [1, 2, 3].into_iter().find(|n| *n != chosen).unwrap();
    let rest: Vec<u8> = [1, 2, 3].into_iter().filter(|n| *n != other).collect();
    apply_ok(&agent, &four(2, &pool(&rest), source)).await;
    assert_eq!(answering(), before, "its node is still there");
    apply_ok(&agent, &four(3, &pool(&[1, 2, 3]), source)).await;
    assert_eq!(answering(), before);
}
