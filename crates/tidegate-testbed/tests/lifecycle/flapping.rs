//! One node that goes and comes again and again, as its kubelet says, or as the lifecycle controller concludes.

use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_core::eligibility::Rule;
use tidegate_core::log::Phase;
use tidegate_core::status::NodeStatus;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, in_sync, node};
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::{SiteOptions, deadline};

use crate::support::{history, nothing_lost};

/// Who flaps.
const NODE: &str = "worker-1";
/// How long it stays in, and out.
const FLIP: Duration = Duration::from_secs(5);
/// Times that its kubelet says so.
const SAID: usize = 3;
/// Times that it is silent until the lifecycle controller gives it up.
const SILENT: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_a_node_flaps() -> Result<()> {
    let mut scene = Scenario::serving(SiteOptions::default(), RunConfig::default()).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;
    for _ in 0..SAID {
        kubelet_says(&mut scene, false).await?;
        kubelet_says(&mut scene, true).await?;
    }
    for _ in 0..SILENT {
        println!("silent: drains after {:.1?}", falls_silent(&mut scene).await?);
        scene.site.worker(NODE)?.kubelet.resume().await?;
        scene.wait_phase(NODE, Phase::Active).await?;
    }
    let total = traffic.stop().await?;
    println!("{total}");
    nothing_lost("a node that flaps", &total);
    let moves: Vec<_> = history(&scene)?.into_iter().filter(|c| c.from != Phase::Out).collect();
    assert!(moves.iter().all(|change| change.node.as_str() == NODE), "nobody else has moved: {moves:?}");
    let drains = moves.iter().filter(|change| change.to == Phase::Draining && change.rule == Rule::NotReady).count();
    assert_eq!(
        (drains, moves.len()),
        (SAID + SILENT, 2 * (SAID + SILENT)),
        "each drain was cancelled in time: {moves:?}"
    );
    Ok(())
}

/// The kubelet reports trouble, or none, and stays so for a while.
async fn kubelet_says(scene: &mut Scenario, ready: bool) -> Result<()> {
    let begun = Instant::now();
    let kubelet = &scene.site.worker(NODE)?.kubelet;
    if ready {
        kubelet.set_ready(true, "KubeletReady", "kubelet is posting ready status").await?;
        scene.wait_phase(NODE, Phase::Active).await?;
    } else {
        kubelet.set_ready(false, "KubeletNotReady", "PLEG is not healthy").await?;
        scene
            .wait("it drains", |status| in_sync(status) && node(status, NODE).is_some_and(|n| drains(n, "PLEG")))
            .await?;
    }
    tokio::time::sleep_until((begun + FLIP).into()).await;
    Ok(())
}

/// No heartbeats: the lifecycle controller makes it Unknown, and taints it. Answers after how long it drains.
async fn falls_silent(scene: &mut Scenario) -> Result<Duration> {
    let begun = Instant::now();
    scene.site.worker(NODE)?.kubelet.stop();
    let silent = |n: &NodeStatus| drains(n, "NodeStatusUnknown");
    let (at, _) = scene.wait("it drains", |s| in_sync(s) && node(s, NODE).is_some_and(silent)).await?;
    let kubelet = &scene.site.worker(NODE)?.kubelet;
    deadline::until("the taint of a silent node", FLIP, || async {
        let taints = kubelet.node().await.ok()?.spec?.taints?;
        taints.iter().any(|taint| taint.key == "node.kubernetes.io/unreachable").then_some(())
    })
    .await?;
    Ok(at.saturating_duration_since(begun))
}

fn drains(node: &NodeStatus, why: &str) -> bool {
    node.state == Phase::Draining && node.rule == Rule::NotReady && node.reason.contains(why)
}
