//! Nodes are added, deleted, excluded and announced by the autoscaler while clients never stop: nothing may fail.

use anyhow::Result;
use rstest::rstest;
use tidegate_core::engine::EngineKind;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario};
use tidegate_testbed::traffic::TrafficOptions;
use tokio::sync::Semaphore;

const REQUESTS: u64 = 100_000;

/// Each load is a quarter of what a small machine can do: with two at a time, what waits for the end of a drain leaves the
/// cores to the other one. More would measure each other.
static LOADS: Semaphore = Semaphore::const_new(2);

#[rstest]
#[case(EngineKind::Nginx)]
#[case(EngineKind::Haproxy)]
#[case(EngineKind::Envoy)]
#[case(EngineKind::Nftables)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_in_planned_changes(#[case] engine: EngineKind) -> Result<()> {
    let _load = LOADS.acquire().await?;
    let config = RunConfig { engine, ..RunConfig::default() };
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), config).await?;
    let target = scene.site.lb_address(PORT)?;
    let traffic = scene.site.traffic(TrafficOptions::heavy(target))?;
    let mut rounds = 0;
    while rounds == 0 || traffic.stats().sent() < REQUESTS {
        rounds += 1;
        one_round(&mut scene, rounds).await?;
    }
    let total = traffic.stop().await?;
    println!("{engine}: {rounds} rounds of changes: {total}");
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
    scene.wait_left("worker-1").await?;
    let autoscaler = "ToBeDeletedByClusterAutoscaler";
    scene.site.worker("worker-2")?.kubelet.add_taint(autoscaler, "1", "NoSchedule").await?;
    scene.wait_left("worker-2").await?;

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
