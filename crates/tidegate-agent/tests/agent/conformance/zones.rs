//! Zones of nodes, as clients see them: connections stay in one, or every zone gets the same share.

use tidegate_core::desired::Listener;
use tidegate_core::engine::EngineKind;
use tidegate_core::node::Zone;
use tidegate_core::zones::Zones;

use super::site::{Site, Subject};
use super::weights::{COUNTED, share_of};
use crate::rig::apply_ok;
use crate::states::{at, listener, state, within};
use crate::traffic::{Client, LIMIT, answering, backend, own_address};

pub async fn a_backend_of_another_zone_keeps_its_connections<S: Subject>() {
    let mut site = Site::<S>::new();
    site.zone = Some(Zone::parse("rack-a").unwrap());
    // Each at an address of its own, as nodes are.
    let (vip, near, far) = (site.free_port(), backend(own_address()), backend(own_address()));
    let http = || Listener { zones: Zones::Prefer, ..listener("http", vip) };
    let pool = || vec![within("rack-a", at(near)), within("rack-b", at(far))];
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(http(), vec![within("rack-b", at(far))])])).await;
    let mut old = Client::connect(vip).unwrap();
    assert_eq!(old.ask().unwrap(), far.port(), "there is nobody else");
    apply_ok(&agent, &state(2, vec![(http(), pool())])).await;
    site.check_live_file();
    assert_eq!(answering(vip), [near.port()].into());
    assert_eq!(old.ask().unwrap(), far.port());
    let aside = agent.status().backends.into_iter().map(|b| (b.draining, b.set_aside)).collect::<Vec<_>>();
    assert!(
        aside.contains(&(false, Some(Zone::parse("rack-b").unwrap()))) && aside.contains(&(false, None)),
        "{aside:?}"
    );
    // After a restart it is as it was, and nothing was told to the engine.
    agent.shutdown().await;
    site.registry = prometheus_client::registry::Registry::default();
    let agent = site.start().await;
    assert_eq!((answering(vip), agent.status().reloads), ([near.port()].into(), 0));
    assert_eq!(old.ask().unwrap(), far.port());
    // A machine that stands elsewhere now, as its configuration says.
    agent.shutdown().await;
    site.registry = prometheus_client::registry::Registry::default();
    site.zone = Some(Zone::parse("rack-b").unwrap());
    let agent = site.start().await;
    let moved = agent.wait_until(|s| s.backends.iter().any(|b| b.set_aside == Zone::parse("rack-a").ok()));
    tokio::time::timeout(LIMIT, moved).await.expect("nobody has to push for that");
    assert_eq!(answering(vip), [far.port()].into());
}

pub async fn zones_of_different_size_get_the_same_share<S: Subject>() {
    let mut site = Site::<S>::new();
    let (vip, nodes) = (site.free_port(), [(); 4].map(|()| backend(site.address)));
    let http = Listener { zones: Zones::Spread, ..listener("http", vip) };
    let agent = site.start().await;
    let pool = nodes.iter().zip(["rack-a", "rack-b", "rack-b", "rack-b"]).map(|(node, zone)| within(zone, at(*node)));
    apply_ok(&agent, &state(1, vec![(http, pool.collect())])).await;
    let share = share_of(nodes[0], vip);
    match S::settings(&std::env::temp_dir()).kind() {
        EngineKind::Nftables => assert_eq!(share, COUNTED / 2),
        _ => assert!((COUNTED * 38 / 100..=COUNTED * 62 / 100).contains(&share), "{share} of {COUNTED}"),
    }
}
