//! What clients and backends see of Envoy that the suite of all engines does not ask for.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tidegate_core::desired::{Balance, Listener, Protocol};

use super::EnvoySite;
use crate::rig::apply_ok;
use crate::states::{at, draining, listener, state};
use crate::traffic::{Client, answering, backend};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_dead_backend_costs_no_request() {
    let mut site = EnvoySite::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let dead = site.free_port();
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one), at(dead)])])).await;
    assert_eq!(answering(vip), [one.port()].into());
}

/// Envoy gives a session another backend as soon as its own is not healthy.
#[tokio::test]
async fn sessions_of_datagrams_leave_a_draining_backend_at_once() {
    let mut site = EnvoySite::new();
    let vip = UdpSocket::bind((site.address, 0)).unwrap().local_addr().unwrap();
    let backends = [(); 2].map(|()| UdpSocket::bind((site.address, 0)).unwrap());
    let agent = site.start().await;
    let dns = Listener { protocol: Protocol::Udp, balance: Balance::Source, ..listener("dns", vip) };
    let [one, two] = [0, 1].map(|n: usize| at(backends[n].local_addr().unwrap()));
    apply_ok(&agent, &state(1, vec![(dns.clone(), vec![one.clone()])])).await;
    let client = UdpSocket::bind((site.address, 0)).unwrap();
    let mut buffer = [0; 64];
    for backend in &backends {
        backend.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    client.send_to(b"question", vip).unwrap();
    assert_eq!(backends[0].recv_from(&mut buffer).unwrap().0, 8);
    apply_ok(&agent, &state(2, vec![(dns, vec![draining(one), two])])).await;
    for _ in 0..10 {
        client.send_to(b"again", vip).unwrap();
        assert_eq!(backends[1].recv_from(&mut buffer).unwrap().0, 5);
    }
    backends[0].set_nonblocking(true).unwrap();
    assert!(backends[0].recv_from(&mut buffer).is_err());
}

#[tokio::test]
async fn a_changed_or_removed_listener_keeps_its_connections() {
    let mut site = EnvoySite::new();
    let (vip, other, one) = (site.free_port(), site.free_port(), backend(site.address));
    let agent = site.start().await;
    let second = (listener("other", other), vec![at(one)]);
    let http = |vip: SocketAddr, change: fn(&mut Listener)| {
        let mut http = listener("http", vip);
        change(&mut http);
        (http, vec![at(one)])
    };
    apply_ok(&agent, &state(1, vec![http(vip, |_| {}), second.clone()])).await;
    let mut kept = Client::connect(vip).unwrap();
    kept.ask().unwrap();
    let changed = http(vip, |l| l.limits.idle_timeout = Some(Duration::from_secs(60)));
    apply_ok(&agent, &state(2, vec![changed, second.clone()])).await;
    assert_eq!(kept.ask().unwrap(), one.port());
    apply_ok(&agent, &state(3, vec![http(vip, |l| l.balance = Balance::Source), second.clone()])).await;
    assert_eq!(kept.ask().unwrap(), one.port());
    apply_ok(&agent, &state(4, vec![second])).await;
    assert_eq!(kept.ask().unwrap(), one.port());
    assert!(Client::connect(vip).is_err());
}
