//! What is open stays open: through a drain, and through restarts of tidegate.

use std::time::Duration;

use anyhow::Result;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario};
use tidegate_testbed::traffic::{LongLived, TrafficOptions};
use tidegate_testbed::{Site, SiteOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_node_gets_no_new_connection_while_its_old_ones_live_on() -> Result<()> {
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), RunConfig::default()).await?;
    let target = scene.site.lb_address(PORT)?;
    // Six of them over three nodes: at least one is on the node that drains.
    let mut long = Vec::new();
    for _ in 0..6 {
        long.push(LongLived::open(&scene.site.client, target).await?);
    }
    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.wait_left("worker-1").await?;

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
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), RunConfig::default()).await?;
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
