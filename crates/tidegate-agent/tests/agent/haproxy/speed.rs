//! How long a change takes among 5,000 servers, beside the bare command of the same run.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tidegate_core::desired::Backend;

use super::{ask, worker};
use crate::conformance::haproxy::Haproxy;
use crate::conformance::site::Site;
use crate::rig::apply_ok;
use crate::states::{backend, listener, state};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn pool(count: u16) -> Vec<Backend> {
    let address = |n: u16| IpAddr::from([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
    (0..count).map(|n| backend(&format!("w{n}"), address(n), 80)).collect()
}

/// Medians of one addition or removal by the agent, of HAProxy's part of it, and of one by hand.
async fn measured(count: u16) -> [Duration; 3] {
    let mut site = Site::<Haproxy>::new();
    let vip = site.free_port();
    let agent = site.start().await;
    let (mut ours, mut bare, mut verified, mut first) = (Vec::new(), Vec::new(), Vec::new(), None);
    for revision in 1..=21 {
        let wanted = state(revision, vec![(listener("http", vip), pool(count + u16::try_from(revision % 2).unwrap()))]);
        let start = Instant::now();
        let report = apply_ok(&agent, &wanted).await;
        // The first one starts HAProxy; none of the others may start a worker.
        if revision == 1 {
            first = Some(worker(&site));
        } else {
            assert_eq!(Some(worker(&site)), first);
            ours.push(start.elapsed());
            let engine = report.timings.iter().filter(|t| ["reload", "verify"].contains(&t.step.as_str()));
            verified.push(Duration::from_micros(engine.map(|t| t.micros).sum()));
            let start = Instant::now();
            let said = ask(site.dir.path(), "add server http/bare 10.9.9.9:80; enable server http/bare");
            bare.push(start.elapsed());
            assert!(said.contains("registered"), "{said}");
            ask(site.dir.path(), "set server http/bare state maint; del server http/bare");
        }
    }
    [median(ours), median(verified), median(bare)]
}

#[tokio::test]
async fn a_change_of_a_few_servers_takes_milliseconds() {
    let [apply, haproxy, bare] = measured(5).await;
    println!("5 servers: apply {apply:?}, of this HAProxy {haproxy:?}; bare command {bare:?}");
    // A debug build on a busy machine; alone it takes a tenth.
    assert!(haproxy < Duration::from_millis(30) && apply < Duration::from_millis(150), "{apply:?} {haproxy:?}");
}

#[tokio::test]
async fn a_change_among_5000_servers_is_no_reload() {
    let [apply, haproxy, bare] = measured(5000).await;
    println!("5000 servers: apply {apply:?}, of this HAProxy {haproxy:?}; bare command {bare:?}");
    // A debug build on a machine that is busy with other builds took 0.7 s.
    assert!(haproxy < Duration::from_secs(5), "{haproxy:?}");
}
