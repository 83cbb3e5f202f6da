//! A tenth, half, nine tenths and all of the kubelets fall silent, while everything that they look after serves perfectly.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Result;
use fs_err as fs;
use jiff::Timestamp;
use tidegate_core::guard::Guard;
use tidegate_core::log::Phase;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::crash::{Crash, VICTIM, probed};
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, active, in_sync, left};
use tidegate_testbed::traffic::{Snapshot, Traffic, TrafficOptions};
use tidegate_testbed::{Site, SiteOptions, deadline};

use crate::support::{believed_dead, give_token, held, history, nothing_lost, override_guard, stays, with_orders};

const WORKERS: u32 = 10;
const ALL: usize = WORKERS as usize;
const LOOK: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubelets_that_fall_silent_together_cost_no_request_and_a_node_that_is_dead_goes() -> Result<()> {
    let site = Site::start(SiteOptions { workers: WORKERS, ..SiteOptions::default() }).await?;
    give_token(&site)?;
    let mut scene = Scenario::serving_on(site, with_orders(RunConfig::default())).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;
    a_tenth(&mut scene).await?;
    half_and_more(&mut scene).await?;
    let early = all(&mut scene).await?;
    let before = traffic.stats();
    println!("all silent: {early} went before the last was reported, and came back; {before}");
    nothing_lost("a tenth, half, nine tenths and all silent", &before);
    let (noticed, after) = one_is_dead(&mut scene, &traffic).await?;
    let lost = after.since(&before).failed();
    println!("dead among the held: believed dead after {noticed:.0?}, {lost} requests lost");
    all_are_back(&mut scene).await?;
    scene.wait("the dead one lives", |status| probed(status, false)).await?;
    tokio::time::sleep(LOOK).await;
    let seen = traffic.stop().await?.since(&after);
    println!("then: {seen}");
    nothing_lost("from the removal of the dead one to the end", &seen);
    assert_eq!(seen.by_node.len(), ALL, "{seen}");
    Ok(())
}

fn fall_silent(scene: &Scenario, numbers: RangeInclusive<u32>) -> Result<()> {
    for number in numbers {
        scene.site.worker(&format!("worker-{number}"))?.kubelet.stop();
    }
    Ok(())
}

async fn all_are_back(scene: &mut Scenario) -> Result<()> {
    for worker in scene.site.workers.values() {
        worker.kubelet.resume().await?;
    }
    let well = |status: &ClusterStatus| in_sync(status) && active(status) == ALL && status.guards.is_empty();
    scene.wait("all active, none held", well).await?;
    Ok(())
}

/// One of ten: it goes, and no guard minds.
async fn a_tenth(scene: &mut Scenario) -> Result<()> {
    fall_silent(scene, 10..=10)?;
    let (_, status) = scene.wait("it left", |status| in_sync(status) && left(status, "worker-10")).await?;
    assert_eq!((active(&status), &status.guards), (9, &vec![]));
    all_are_back(scene).await
}

/// Five of ten: a fifth goes. The rest goes when an operator lets it, but never more than half.
async fn half_and_more(scene: &mut Scenario) -> Result<()> {
    fall_silent(scene, 6..=10)?;
    let fifth = |status: &ClusterStatus| active(status) == 8 && held(status, Guard::Velocity) == 3;
    scene.wait("two went, three held", |status| in_sync(status) && fifth(status)).await?;
    stays(scene, LOOK, "two went, three held", fifth).await?;

    override_guard(scene, Guard::Velocity, &["--for", "5m"])?;
    let (_, status) = scene.wait("five went", |status| in_sync(status) && active(status) == 5).await?;
    assert_eq!(status.guards, vec![]);
    fall_silent(scene, 2..=5)?;
    let half = |status: &ClusterStatus| active(status) == 5 && held(status, Guard::Half) == 4;
    scene.wait("five went, four held", |status| in_sync(status) && half(status)).await?;
    stays(scene, LOOK, "five went, four held", half).await?;
    override_guard(scene, Guard::Velocity, &["--end"])?;
    all_are_back(scene).await
}

/// All of ten, which the lifecycle controller reports one after the other: all stay. Answers how many went until then.
async fn all(scene: &mut Scenario) -> Result<usize> {
    let before = history(scene)?.len();
    fall_silent(scene, 1..=WORKERS)?;
    scene.wait("all held", |status| in_sync(status) && all_held(status)).await?;
    let log = scene.site.cluster.folder().join("kube-controller-manager.log");
    let told = || fs::read_to_string(&log).is_ok_and(|text| text.contains("Entering master disruption mode"));
    deadline::until_true("the lifecycle controller sees that all are silent", SOON, told).await?;
    stays(scene, LOOK, "all held", all_held).await?;
    let mut since = history(scene)?;
    since.truncate(since.len() - before);
    let drained = since.iter().filter(|change| change.to == Phase::Draining).count();
    assert!(drained <= ALL / 5 && since.len() == 2 * drained, "{since:?}");
    assert!(since.iter().all(|change| change.to != Phase::Out), "{since:?}");
    Ok(drained)
}

fn all_held(status: &ClusterStatus) -> bool {
    active(status) == ALL && held(status, Guard::AllFailing) == ALL
}

/// Meanwhile one of them really dies, and is healed. Answers after how long that was noticed, and what clients had seen when its
/// death was over for them.
async fn one_is_dead(scene: &mut Scenario, traffic: &Traffic) -> Result<(Duration, Snapshot)> {
    let died = Timestamp::now();
    Crash::Unplugged.strike(scene.site.worker(VICTIM)?)?;
    let dead = |status: &ClusterStatus| all_held(status) && probed(status, true);
    let (_, status) = scene.wait("the dead one out", |status| in_sync(status) && dead(status)).await?;
    // Packets vanish: whoever waits for an answer has given up by now.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after = traffic.stats();
    stays(scene, LOOK, "all held, the dead one out", dead).await?;
    let seen = traffic.stats().since(&after);
    nothing_lost("while the dead one is out", &seen);
    assert!(!seen.by_node.contains_key(VICTIM) && seen.by_node.len() == ALL - 1, "{seen}");
    Crash::Unplugged.heal(scene.site.worker(VICTIM)?).await?;
    Ok((believed_dead(&status, died)?, after))
}
