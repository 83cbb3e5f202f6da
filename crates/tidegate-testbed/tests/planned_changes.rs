//! Nodes are added, deleted, excluded and announced by the autoscaler while clients never stop: nothing may fail.

use std::time::Duration;

use anyhow::Result;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_testbed::cluster::ClusterOptions;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario};
use tidegate_testbed::traffic::{LongLived, TrafficOptions};
use tidegate_testbed::{Site, SiteOptions};

const REQUESTS: u64 = 100_000;

/// Without the lifecycle controller: on a busy machine it would add NotReady nodes that nobody planned.
fn site() -> SiteOptions {
    SiteOptions { cluster: ClusterOptions::default(), ..SiteOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_in_planned_changes() -> Result<()> {
    let mut scene = Scenario::serving(site(), RunConfig::default()).await?;
    let target = scene.site.lb_address(PORT)?;
    let options = TrafficOptions {
        new_per_second: 900,
        keepalive_connections: 32,
        keepalive_per_second: 1_100,
        ..TrafficOptions::new(target)
    };
    let traffic = scene.site.traffic(options)?;
    let mut rounds = 0;
    while rounds == 0 || traffic.stats().sent() < REQUESTS {
        rounds += 1;
        one_round(&mut scene, rounds).await?;
    }
    let total = traffic.stop().await?;
    println!("{rounds} rounds of changes: {total}");
    assert_eq!(total.failed(), 0, "{total}");
    assert_eq!(total.retried_reset, 0, "a reused connection was reset: {total}");
    assert!(total.new.sent > 20_000 && total.keepalive.sent > 20_000, "both classes must be busy: {total}");
    assert!(total.sent() >= REQUESTS, "{total}");
    Ok(())
}

/// Adds a worker, deletes it again, and takes two others out and back.
async fn one_round(scene: &mut Scenario, round: u32) -> Result<()> {
    let added = format!("added-{round}");
    scene.site.add_worker(&added).await?;
    scene.wait_phase(&added, Phase::Active).await?;

    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.wait_phase("worker-1", Phase::Draining).await?;
    let autoscaler = "ToBeDeletedByClusterAutoscaler";
    scene.site.worker("worker-2")?.kubelet.add_taint(autoscaler, "1", "NoSchedule").await?;
    scene.wait_phase("worker-2", Phase::Draining).await?;

    scene.site.worker(&added)?.kubelet.delete().await?;
    scene.wait_phase(&added, Phase::Out).await?;
    // Its drain is over: switching the machine off must not be noticed by anyone.
    scene.site.remove_worker(&added)?;

    scene.wait_phase("worker-1", Phase::Out).await?;
    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, None).await?;
    scene.site.worker("worker-2")?.kubelet.remove_taint(autoscaler).await?;
    scene.wait_phase("worker-1", Phase::Active).await?;
    scene.wait_phase("worker-2", Phase::Active).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_node_gets_no_new_connection_while_its_old_ones_live_on() -> Result<()> {
    let mut scene = Scenario::serving(site(), RunConfig::default()).await?;
    let target = scene.site.lb_address(PORT)?;
    // Six of them over three nodes: at least one is on the node that drains.
    let mut long = Vec::new();
    for _ in 0..6 {
        long.push(LongLived::open(&scene.site.client, target).await?);
    }
    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.wait_phase("worker-1", Phase::Draining).await?;

    let traffic = scene.site.traffic(TrafficOptions { keepalive_connections: 0, ..TrafficOptions::new(target) })?;
    scene.wait_phase("worker-1", Phase::Out).await?;
    let total = traffic.stop().await?;
    assert_eq!(total.failed(), 0, "{total}");
    assert!(total.sent() > 500 && !total.by_node.contains_key("worker-1"), "{total}");
    for (number, connection) in long.iter_mut().enumerate() {
        let alive = connection.check(Duration::from_secs(10)).await;
        assert!(alive.is_ok(), "long connection {number} was lost: {alive:?}");
    }
    assert!(old_generations(&mut scene).await? > 0, "old workers that hold connections are counted");
    Ok(())
}

async fn old_generations(scene: &mut Scenario) -> Result<u64> {
    let (_, status) = scene
        .wait("old generations in the status", |status| status.load_balancers.iter().any(|lb| lb.old_generations > 0))
        .await?;
    Ok(status.load_balancers.iter().map(|lb| lb.old_generations).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrading_tidegate_does_not_touch_traffic() -> Result<()> {
    let mut scene = Scenario::serving(site(), RunConfig::default()).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;
    for _ in 0..3 {
        let ended = scene.tidegate.terminate(Duration::from_secs(10)).await?;
        assert!(ended.success(), "SIGTERM must end it cleanly: {ended}\n{}", scene.tidegate.log_tail(20));
        scene.tidegate.restart()?;
        scene.wait_up().await?;
        scene.wait("live again", tidegate_testbed::scenario::in_sync).await?;
    }
    let host = &scene.site.lb(Site::LB)?.host;
    let status = scene.status.read().await?;
    let total = traffic.stop().await?;
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    assert_eq!(status.load_balancers.iter().map(|lb| lb.reloads).sum::<u64>(), 0, "a restart needs no reload");
    assert!(host.get(scene.site.lb_address(PORT)?, "/").await?.body.starts_with("node worker-"));
    Ok(())
}
