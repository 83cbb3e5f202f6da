//! A restart with another `nodes.selector`, that hardly anybody can have meant.

use std::time::Duration;

use anyhow::Result;
use tidegate_core::eligibility::Rule;
use tidegate_core::guard::Guard;
use tidegate_core::log::Phase;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, active, in_sync, stands};
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::{Site, SiteOptions};

use crate::support::{give_token, held, history, nothing_lost, override_guard, stays, with_orders};

/// Longer than it takes to look twice.
const TWO_LOOKS: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selector_that_drops_most_nodes_takes_nobody_out_until_somebody_says_so() -> Result<()> {
    let site = Site::start(SiteOptions { workers: 5, ..SiteOptions::without_lifecycle() }).await?;
    give_token(&site)?;
    let mut scene = Scenario::serving_on(site, with_orders(RunConfig::default())).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;

    select(&mut scene, "selector: role=typo").await?;
    scene.wait("all held", |status| in_sync(status) && held(status, Guard::LargeDrop) == 5).await?;
    stays(&mut scene, TWO_LOOKS, "all held", |s| active(s) == 5 && held(s, Guard::LargeDrop) == 5).await?;
    // Whoever means it still does not mean that nobody serves.
    override_guard(&scene, Guard::LargeDrop, &["--for", "5m"])?;
    scene.wait("all held all the same", |status| held(status, Guard::NeverEmpty) == 5).await?;
    override_guard(&scene, Guard::LargeDrop, &["--end"])?;

    select(&mut scene, "selector: \"kubernetes.io/hostname in (worker-1, worker-2)\"").await?;
    scene.wait("three held", |status| in_sync(status) && held(status, Guard::LargeDrop) == 3).await?;
    let before = history(&scene)?;
    assert!(before.iter().all(|change| change.rule != Rule::OutsideSelector), "nobody has left yet: {before:?}");
    override_guard(&scene, Guard::LargeDrop, &["--for", "5m"])?;
    scene.wait("two serve", |status| in_sync(status) && active(status) == 2 && status.guards.is_empty()).await?;
    let out =
        |status: &ClusterStatus| ["worker-3", "worker-4", "worker-5"].iter().all(|n| stands(status, n, Phase::Out));
    scene.wait("the drains end", |status| in_sync(status) && out(status)).await?;
    let left = traffic.stats();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let total = traffic.stop().await?;
    let seen = total.since(&left);
    println!("{total}");
    assert!(seen.by_node.len() == 2 && seen.ok() > 100, "{seen}");
    nothing_lost("from one selector to the next", &total);
    Ok(())
}

async fn select(scene: &mut Scenario, nodes: &'static str) -> Result<()> {
    let config = RunConfig { nodes, ..scene.config.clone() };
    scene.reconfigure(config).await
}
