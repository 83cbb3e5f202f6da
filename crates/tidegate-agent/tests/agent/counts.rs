//! Connections in the status: what a drain waits for.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate_agent::AgentHandle;
use tidegate_core::desired::Protocol;
use tidegate_core::position::Position;
use tidegate_core::protocol::AgentStatus;

use crate::faulty::Site;
use crate::rig::{Rig, apply, apply_ok};
use crate::states::{at, draining, listener, state};
use crate::traffic::{Client, LIMIT, answering, backend};

/// Node, whether it drains, and its connections.
fn shown(status: &AgentStatus) -> Vec<(String, bool, Option<u64>)> {
    status.backends.iter().map(|b| (b.node.to_string(), b.draining, b.connections)).collect()
}

/// Asks until the answer is this one: it may be as old as a count may be.
async fn until_shown(agent: &AgentHandle, position: Position, wanted: &[(String, bool, Option<u64>)]) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = agent.counted_status().await;
        assert_eq!(status.live.unwrap().position, position);
        if shown(&status) == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{:?}, not {wanted:?}", shown(&status));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_backend_is_shown_with_the_connections_of_old_workers_until_they_close() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let name = |s| at(s).node.to_string();
    let agent = rig.start().await;
    let before = state(1, vec![(listener("http", vip), vec![at(one)])]);
    apply_ok(&agent, &before).await;
    let mut old: Vec<Client> = (0..3).map(|_| Client::connect(vip).unwrap()).collect();
    for client in &mut old {
        assert_eq!(client.ask().unwrap(), one.port());
    }
    assert_eq!(shown(&agent.counted_status().await), [(name(one), false, Some(3))]);

    // A moment later, but at another position: counted anew.
    let one_more = Client::connect(vip).and_then(|mut c| c.ask().map(|_| c)).unwrap();
    let after = state(2, vec![(listener("http", vip), vec![draining(at(one)), at(two)])]);
    apply_ok(&agent, &after).await;
    let status = agent.counted_status().await;
    assert_eq!(status.live.unwrap().position, after.position);
    assert_eq!(shown(&status)[0], (name(one), true, Some(4)));
    // The plain status waits for nobody, and guesses nothing.
    assert_eq!(shown(&agent.status()), [(name(one), true, None), (name(two), false, None)]);

    assert_eq!(answering(vip), [two.port()].into());
    drop((old.pop(), one_more));
    until_shown(&agent, after.position, &[(name(one), true, Some(2)), (name(two), false, Some(0))]).await;
    drop(old);
    until_shown(&agent, after.position, &[(name(one), true, Some(0)), (name(two), false, Some(0))]).await;
    assert_eq!(agent.wait_until(|s| s.old_generations == 0).await.old_generations, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_are_no_connections_and_ports_are_told_apart() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    let mut dns = listener("dns", rig.free_port());
    dns.protocol = Protocol::Udp;
    let same = listener("same", rig.free_port());
    let other = listener("zother", rig.free_port());
    let elsewhere = at(backend(rig.address));
    // One node behind all of them: by UDP, twice by one port, and by another port.
    let content = vec![
        (dns, vec![at(one)]),
        (listener("http", vip), vec![at(one)]),
        (same, vec![at(one)]),
        (other, vec![elsewhere]),
    ];
    apply_ok(&agent, &state(1, content)).await;
    let mut client = Client::connect(vip).unwrap();
    client.ask().unwrap();
    let counts: Vec<_> = agent.counted_status().await.backends.into_iter().map(|b| b.connections).collect();
    assert_eq!(counts, [None, Some(1), Some(1), Some(0)]);
}

#[tokio::test]
async fn whoever_asks_at_once_shares_one_count_and_a_new_position_is_counted_anew() {
    let (site, agent) = Site::new().await;
    let content = |pool| vec![(listener("http", "127.0.0.1:1000".parse().unwrap()), pool)];
    let [one, two] = ["10.0.0.1:80", "10.0.0.2:80"].map(|a| a.parse().unwrap());
    let counted = || site.world.lock().unwrap().counted.clone();
    assert_eq!((agent.counted_status().await.backends.len(), counted().len()), (0, 0), "nothing is live");

    apply(&agent, &state(1, content(vec![at(one), at(two)]))).await;
    let began = Instant::now();
    futures::future::join_all((0..50).map(|_| agent.counted_status())).await;
    assert_eq!(counted(), [[one, two].into()]);
    // The content is the same: what a count means is not.
    for revision in 2..=3 {
        apply(&agent, &state(revision, content(vec![at(one), draining(at(two))]))).await;
        let status = agent.counted_status().await;
        assert_eq!(
            (status.live.unwrap().position.revision.0, counted().len()),
            (revision, usize::try_from(revision).unwrap())
        );
        assert_eq!(status.backends[1].connections, Some(0));
    }
    while counted().len() == 3 {
        assert!(began.elapsed() < LIMIT, "an old count is never renewed");
        agent.counted_status().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "counted again after {:?}", began.elapsed());
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines_with(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).lines().filter(|l| l.contains(text)).count()
    }
}

#[tokio::test]
async fn a_kernel_that_does_not_tell_is_no_zero_and_is_logged_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (site, agent) = Site::new().await;
    let blind = |blind| site.world.lock().unwrap().blind = blind;
    let pool = vec![draining(at("10.0.0.1:80".parse().unwrap())), at("10.0.0.2:80".parse().unwrap())];
    let content = vec![(listener("http", "127.0.0.1:1000".parse().unwrap()), pool)];
    blind(true);
    for revision in 1..=3 {
        apply(&agent, &state(revision, content.clone())).await;
        let status = agent.counted_status().await;
        assert_eq!(
            status.backends.iter().map(|b| (b.draining, b.connections)).collect::<Vec<_>>(),
            [(true, None), (false, None)]
        );
    }
    assert_eq!(log.lines_with("AF_NETLINK"), 1);
    blind(false);
    apply(&agent, &state(4, content)).await;
    assert_eq!(agent.counted_status().await.backends[0].connections, Some(0));
    assert_eq!(log.lines_with("counted again"), 1);
}
