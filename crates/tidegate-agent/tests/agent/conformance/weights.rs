//! Nodes of different size: who has three times the weight gets three times the connections.

use std::net::SocketAddr;

use tidegate_agent::DriftPolicy;
use tidegate_core::desired::{Backend, Balance};
use tidegate_core::engine::{EngineKind, Feature};

use super::site::{Site, Subject};
use crate::rig::apply_ok;
use crate::states::{at, listener, state, weighing};
use crate::traffic::{Client, Load, backend};

/// Connections of one count; [`HELD`] are open at a time, as in a load balancer that serves somebody.
pub const COUNTED: usize = 400;
const HELD: usize = 50;

fn pool(weights: [u8; 2], nodes: [SocketAddr; 2]) -> Vec<Backend> {
    weights.into_iter().zip(nodes).map(|(weight, node)| weighing(weight, at(node))).collect()
}

/// How many of [`COUNTED`] connections this node gets.
pub fn share_of(node: SocketAddr, vip: SocketAddr) -> usize {
    let ask = |mut client: Client| (client.ask().unwrap(), client);
    let round = |_| {
        let held: Vec<(u16, Client)> = (0..HELD).map(|_| ask(Client::connect(vip).unwrap())).collect();
        held.iter().filter(|(port, _)| *port == node.port()).count()
    };
    (0..COUNTED / HELD).map(round).sum()
}

/// Three of four connections; the kernel counts exactly, the others draw lots or count in each of their threads.
fn is_three_of_four<S: Subject>(share: usize) -> bool {
    match S::settings(&std::env::temp_dir()).kind() {
        EngineKind::Nftables => share == COUNTED * 3 / 4,
        _ => (COUNTED * 60 / 100..=COUNTED * 88 / 100).contains(&share),
    }
}

pub async fn new_connections_follow_the_weights<S: Subject>() {
    let mut site = Site::<S>::new();
    let (vip, nodes) = (site.free_port(), [(); 2].map(|()| backend(site.address)));
    let agent = site.start().await;
    for (revision, weights, heavy) in [(1, [3, 1], 0), (2, [25, 75], 1), (3, [30, 10], 0)] {
        apply_ok(&agent, &state(revision, vec![(listener("http", vip), pool(weights, nodes))])).await;
        site.check_live_file();
        let share = share_of(nodes[heavy], vip);
        assert!(is_three_of_four::<S>(share), "{share} of {COUNTED} with weights {weights:?}");
    }
}

/// With the fewest connections for its weight.
pub async fn open_connections_follow_the_weights<S: Subject>() {
    let kind = S::settings(&std::env::temp_dir()).kind();
    if kind.lacks(Feature::LeastConnections).is_some() {
        // The refusal is tested with the feature.
        return;
    }
    let mut site = Site::<S>::new();
    let (vip, nodes) = (site.free_port(), [(); 2].map(|()| backend(site.address)));
    let agent = site.start().await;
    let mut http = listener("http", vip);
    http.balance = Balance::LeastConnections;
    apply_ok(&agent, &state(1, vec![(http, pool([3, 1], nodes))])).await;
    let share = share_of(nodes[0], vip);
    assert!(is_three_of_four::<S>(share), "{share} of {COUNTED}");
}

pub async fn another_weight_loses_nothing<S: Subject>() {
    let mut site = Site::<S>::auditing(DriftPolicy::Repair);
    let (vip, nodes) = (site.free_port(), [(); 2].map(|()| backend(site.address)));
    let agent = site.start().await;
    let http = |weights| vec![(listener("http", vip), pool(weights, nodes))];
    apply_ok(&agent, &state(1, http([1, 1]))).await;
    let before = S::processes(site.dir.path());
    let load = Load::start(vip);
    load.see(20);
    for (revision, weights) in (2..).zip([[3, 1], [100, 7], [1, 100], [1, 1], [1, 3]]) {
        apply_ok(&agent, &state(revision, http(weights))).await;
        load.see(20);
    }
    assert_eq!(load.stop(), Vec::<String>::new());
    let share = share_of(nodes[1], vip);
    assert!(is_three_of_four::<S>(share), "{share} of {COUNTED}");
    if S::settings(&std::env::temp_dir()).kind() != EngineKind::Nginx {
        assert_eq!(S::processes(site.dir.path()), before, "a weight changes in place");
    }
    // Whatever the audits compared was as it should be.
    let status = agent.status();
    assert_eq!((status.last_error, status.drift), (None, None));
}
