//! Nodes that are not what they seem: one address twice, none at all, one name for two machines.

use std::net::IpAddr;

use anyhow::Result;
use tidegate_core::eligibility::Rule;
use tidegate_core::log::Phase;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::kubelet::{Kubelet, KubeletOptions};
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, in_sync, node};
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::{Site, SiteOptions, lab};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_that_contradict_each_other_cost_no_request() -> Result<()> {
    // While our finalizer holds a deleted Node, nobody can make another one of its name.
    let config = RunConfig { nodes: "finalizer: { enabled: false }", ..RunConfig::default() };
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), config).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;
    one_address_twice(&mut scene).await?;
    no_address(&mut scene).await?;
    made_anew_under_its_name(&mut scene).await?;
    let total = traffic.stop().await?;
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    Ok(())
}

async fn register(site: &Site, name: &str, addresses: Vec<IpAddr>) -> Result<Kubelet> {
    Kubelet::start(site.cluster.client().await?, KubeletOptions::new(name, addresses)).await
}

async fn one_address_twice(scene: &mut Scenario) -> Result<()> {
    let taken: IpAddr = scene.site.worker("worker-1")?.host.ipv4().into();
    let thief = register(&scene.site, "a-thief", vec![taken]).await?;
    // Before its kubelet reports an address, it has none; then the reason names who has it.
    let named = |status: &ClusterStatus| {
        node(status, "a-thief").is_some_and(|n| n.rule == Rule::NoAddress && n.reason.contains("worker-1"))
    };
    let (_, status) = scene.wait("the thief refused, with its reason", named).await?;
    assert_eq!(node(&status, "a-thief").map(|thief| thief.state), Some(Phase::Out));
    assert_eq!(node(&status, "worker-1").map(|worker| worker.state), Some(Phase::Active));
    thief.delete().await
}

async fn no_address(scene: &mut Scenario) -> Result<()> {
    let homeless = register(&scene.site, "homeless", vec![]).await?;
    scene
        .wait("a node without address judged", |s| node(s, "homeless").is_some_and(|n| n.rule == Rule::NoAddress))
        .await?;
    homeless.delete().await?;

    // A member that loses its address keeps the one it had.
    let worker = &scene.site.worker("worker-2")?.kubelet;
    worker.set_addresses(&[]).await?;
    let kept = |status: &ClusterStatus| {
        node(status, "worker-2").is_some_and(|n| n.rule == Rule::NoAddress && n.state == Phase::Active)
    };
    scene.wait("worker-2 kept", kept).await?;
    let worker = scene.site.worker("worker-2")?;
    worker.kubelet.set_addresses(&lab::addresses(&worker.host)).await?;
    scene.wait("worker-2 as before", |s| node(s, "worker-2").is_some_and(|n| n.rule == Rule::Eligible)).await?;
    Ok(())
}

async fn made_anew_under_its_name(scene: &mut Scenario) -> Result<()> {
    let old = scene.site.worker("worker-3")?.kubelet.node().await?.metadata.uid;
    let address: IpAddr = scene.site.worker("worker-3")?.host.ipv4().into();
    scene.site.worker("worker-3")?.kubelet.delete().await?;
    let anew = register(&scene.site, "worker-3", vec![address]).await?;
    let new = anew.node().await?.metadata.uid;
    assert_ne!(old, new);
    let replaced = |status: &ClusterStatus| {
        let now = status.nodes.iter().filter(|n| n.name.as_str() == "worker-3").collect::<Vec<_>>();
        let active = |n: &&&tidegate_core::status::NodeStatus| n.state == Phase::Active;
        in_sync(status) && now.iter().any(|n| Some(n.uid.as_str()) == new.as_deref() && active(&n))
    };
    scene.wait("the new worker-3 live", replaced).await?;
    Ok(())
}
