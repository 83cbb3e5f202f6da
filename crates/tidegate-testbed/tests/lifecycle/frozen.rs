//! A node dies while nothing can be known of the cluster.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::crash::{Crash, VICTIM, probed};
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, active, in_sync};
use tidegate_testbed::traffic::TrafficOptions;

use crate::support::{believed_dead, nothing_lost, stays};

const LOOK: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_while_the_api_server_hangs_is_taken_out_and_the_set_stays_frozen() -> Result<()> {
    let config = RunConfig { resync: "2s", ..RunConfig::default() };
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), config).await?;
    scene.wait("every node asked", |status| probed(status, false)).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;
    scene.site.cluster.pause()?;
    scene.wait("frozen", |status| status.frozen.is_some()).await?;
    tokio::time::sleep(LOOK).await;
    let before = traffic.stats();
    nothing_lost("frozen", &before);

    let died = Timestamp::now();
    Crash::Killed.strike(scene.site.worker(VICTIM)?)?;
    let (_, status) = scene.wait("the dead node out", |status| probed(status, true) && in_sync(status)).await?;
    // What was in flight has ended by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = traffic.stats();
    let lost = after.since(&before).failed();
    println!("believed dead after {:.0?}, {lost} requests lost", believed_dead(&status, died)?);
    let kept = |status: &ClusterStatus| status.frozen.is_some() && active(status) == 3 && probed(status, true);
    stays(&mut scene, LOOK, "frozen, without the dead node", kept).await?;
    let seen = traffic.stats().since(&after);
    assert!(!seen.by_node.contains_key(VICTIM), "{seen}");

    Crash::Killed.heal(scene.site.worker(VICTIM)?).await?;
    scene.wait("it serves again", |status| probed(status, false)).await?;
    scene.site.cluster.resume()?;
    scene.wait("thawed", |status| status.frozen.is_none() && active(status) == 3).await?;
    nothing_lost("from its removal to the end", &traffic.stop().await?.since(&after));
    Ok(())
}
