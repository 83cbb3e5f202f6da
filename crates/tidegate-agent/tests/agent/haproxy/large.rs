//! Changes among thousands of servers.

use std::net::IpAddr;

use tidegate_core::desired::Backend;

use super::worker;
use crate::conformance::haproxy::Haproxy;
use crate::conformance::site::Site;
use crate::rig::apply_ok;
use crate::states::{backend, listener, state};

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
