//! `balance: source`: clients stay where they are, whatever the way in which a server came.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tidegate_core::desired::{Balance, Listener};

use super::worker;
use crate::conformance::haproxy::Haproxy;
use crate::conformance::site::Site;
use crate::rig::apply_ok;
use crate::states::{at, listener, state};
use crate::traffic::{backend, connect_from};

/// The port that answers a client of this address.
fn ask_from(vip: SocketAddr, from: Ipv4Addr) -> u16 {
    let mut stream = connect_from((from, 0).into(), vip).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"?").unwrap();
    let mut answer = [0; 16];
    let read = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..read]).trim().parse().unwrap()
}

/// Where each of 120 clients goes.
fn spread(vip: SocketAddr) -> BTreeMap<u8, u16> {
    (1..=120).map(|n| (n, ask_from(vip, Ipv4Addr::new(127, 200, n, 7 + n)))).collect()
}

#[tokio::test]
async fn a_client_stays_over_changes_in_place_and_over_reloads() {
    let mut site = Site::<Haproxy>::new();
    let (vip, other) = (site.free_port(), site.free_port());
    let pool: Vec<SocketAddr> = (0..5).map(|_| backend(site.address)).collect();
    let sticky = |bind| -> Listener { Listener { balance: Balance::Source, ..listener("http", bind) } };
    let of = |which: &[usize]| which.iter().map(|n| at(pool[*n])).collect::<Vec<_>>();
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(sticky(vip), of(&[0, 1, 2, 3]))])).await;
    let first = spread(vip);
    let began = worker(&site);

    // One goes, then another comes, both in place: only the clients of who went move, and some go to who came.
    apply_ok(&agent, &state(2, vec![(sticky(vip), of(&[0, 2, 3]))])).await;
    apply_ok(&agent, &state(3, vec![(sticky(vip), of(&[0, 2, 3, 4]))])).await;
    assert_eq!(worker(&site), began);
    let changed = spread(vip);
    for (client, port) in &first {
        let now = changed[client];
        assert!(now == *port || *port == pool[1].port() || now == pool[4].port(), "{client}: {port} to {now}");
    }
    assert!(changed.values().any(|port| *port == pool[4].port()));

    // Another listener is a reload: nobody moves.
    let content = vec![(sticky(vip), of(&[0, 2, 3, 4])), (listener("more", other), of(&[0]))];
    apply_ok(&agent, &state(4, content)).await;
    assert_ne!(worker(&site), began);
    assert_eq!(spread(vip), changed);
    // Whoever left and comes back finds its clients again.
    let content = vec![(sticky(vip), of(&[0, 1, 2, 3])), (listener("more", other), of(&[0]))];
    apply_ok(&agent, &state(5, content)).await;
    assert_eq!(spread(vip), first);
}
