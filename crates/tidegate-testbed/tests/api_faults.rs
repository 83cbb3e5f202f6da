//! The API server hangs, dies, comes back, forgets: traffic goes on, and Tidegate catches up by itself.

use std::time::Duration;

use anyhow::Result;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::cluster::{ClusterOptions, Etcd};
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, active, in_sync, left};
use tidegate_testbed::traffic::TrafficOptions;

/// A resync every 2 s, so that the view is stale after 3 s.
fn quick() -> RunConfig {
    RunConfig { resync: "2s", ..RunConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_or_killed_api_server_freezes_the_set_and_thaws_it() -> Result<()> {
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), quick()).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;

    scene.site.cluster.pause()?;
    let (_, status) = scene.wait("frozen", |status| status.frozen.is_some()).await?;
    assert_eq!(active(&status), 3, "a frozen set is kept");
    scene.site.cluster.resume()?;
    scene.wait("thawed", |status| status.frozen.is_none()).await?;

    // Killed and restarted: the watch's resourceVersion is from before, which answers 410.
    scene.site.cluster.kill9_and_restart().await?;
    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.wait_left("worker-1").await?;
    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, None).await?;
    scene.wait_phase("worker-1", Phase::Active).await?;

    let total = traffic.stop().await?;
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_behind_a_cut_watch_is_found_by_the_resync() -> Result<()> {
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), quick()).await?;
    let relay = &scene.site.lb("lb")?.relay;
    relay.refuse();
    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.site.worker("worker-2")?.kubelet.delete().await?;
    scene.wait("frozen", |status| status.frozen.is_some()).await?;
    scene.site.lb("lb")?.relay.forward();
    let caught_up = |s: &tidegate_core::status::ClusterStatus| in_sync(s) && left(s, "worker-1") && left(s, "worker-2");
    scene.wait("both changes live", caught_up).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_answers_410_gone_starts_anew() -> Result<()> {
    let cluster = ClusterOptions { watch_cache: false, ..ClusterOptions::default() };
    // A resync that is out of the way: what comes must come by the watch.
    let config = RunConfig { resync: "10m", ..RunConfig::default() };
    let mut scene = Scenario::serving(SiteOptions { cluster, ..SiteOptions::default() }, config).await?;
    scene.site.lb("lb")?.relay.refuse();
    let kubelet = &scene.site.worker("worker-1")?.kubelet;
    for change in 0..20 {
        kubelet.annotate("testbed/change", Some(&change.to_string())).await?;
    }
    kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.site.cluster.compact().await?;
    scene.site.lb("lb")?.relay.forward();
    scene.wait_left("worker-1").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_etcd_without_streaming_lists_is_served_by_list_and_watch() -> Result<()> {
    let cluster = ClusterOptions { etcd: Etcd::Old, ..ClusterOptions::default() };
    let config = RunConfig { resync: "10m", ..RunConfig::default() };
    let mut scene = Scenario::serving(SiteOptions { cluster, ..SiteOptions::default() }, config).await?;
    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.wait_left("worker-1").await?;
    let log = std::fs::read_to_string(scene.tidegate.log())?;
    assert!(log.contains("cannot stream lists"), "the fall back must have been needed, and told once:\n{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_while_the_api_is_down_keeps_the_set_and_the_drain_in_progress() -> Result<()> {
    let config = RunConfig { drain_timeout: "8s", ..quick() };
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), config).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;
    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.wait_left("worker-1").await?;

    scene.site.lb("lb")?.relay.refuse();
    scene.tidegate.kill9()?;
    scene.tidegate.restart()?;
    scene.wait_up().await?;
    let (_, status) = scene.wait("the stored set live", |s| in_sync(s) && s.frozen.is_some()).await?;
    assert_eq!(active(&status), 2, "{status:?}");
    // Decided before, by somebody's wish: the drain ends on time although the API is still away.
    scene.wait_phase("worker-1", Phase::Out).await?;
    assert_eq!(active(&scene.status.read().await?), 2);

    scene.site.lb("lb")?.relay.forward();
    scene.wait("thawed", |status| status.frozen.is_none()).await?;
    let total = traffic.stop().await?;
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    assert!(Duration::from_secs(5) < total.elapsed);
    Ok(())
}
