//! Many changes at once: few reloads, and the right state in the end.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::kubelet::{Bulk, Size};
use tidegate_testbed::scenario::{RunConfig, Scenario, active, in_sync, left};

const NODES: u32 = 50;
const CHANGES: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_changes_in_two_seconds_cost_at_most_four_reloads() -> Result<()> {
    let options = SiteOptions { workers: 1, ..SiteOptions::without_lifecycle() };
    let config = RunConfig { join_delay: "0s", drain_timeout: "10m", ..RunConfig::default() };
    let mut scene = Scenario::serving(options, config).await?;
    let bulk = Bulk::create(scene.site.cluster.client().await?, "burst", NODES, Size::Slim).await?;
    let all = NODES as usize + 1;
    let (_, before) = scene.wait("all nodes live", |status| in_sync(status) && active(status) == all).await?;
    // The floor between reloads starts anew: let it pass, so that the burst meets an idle engine.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let started = Instant::now();
    flip(&scene, &bulk).await?;

    // Each node was flipped ten times and ends as it began, but every fifth ends excluded.
    scene.wait("the end state live", |status| in_sync(status) && is_end_state(status)).await?;
    let took = scene.clock.newest().map_or(Duration::ZERO, |last| last.saturating_duration_since(started));
    // An agent's answer to a hook says what is live; how many reloads it took is known only from its next status.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = scene.status.read().await?;
    let reloads = reloads(&after) - reloads(&before);
    println!("{CHANGES} changes in {took:.2?}: {reloads} reloads");
    // On a busy machine the events take longer to arrive: one more reload for each second that they do.
    let allowed = 4 + took.saturating_sub(Duration::from_secs(2)).as_millis().div_ceil(1000);
    assert!(u128::from(reloads) <= allowed, "{reloads} reloads for {CHANGES} changes in {took:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let settled = scene.status.read().await?;
    assert!(is_end_state(&settled));
    assert_eq!(self::reloads(&settled), self::reloads(&after), "nothing comes later");
    Ok(())
}

fn is_end_state(status: &ClusterStatus) -> bool {
    (0..NODES).all(|number| left(status, &format!("burst-{number}")) == (number % 5 == 0))
}

async fn flip(scene: &Scenario, bulk: &Bulk) -> Result<()> {
    use kube::api::{Api, Patch, PatchParams};
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(scene.site.cluster.client().await?);
    let members = bulk.members();
    for round in 0..CHANGES / members.len() {
        let excluded = round % 2 == 0;
        stream::iter(members.iter().enumerate())
            .map(|(number, member)| {
                let last = round + 1 == CHANGES / members.len();
                let value = (excluded || (last && number % 5 == 0)).then_some("true");
                let patch = serde_json::json!({ "metadata": { "labels": { EXCLUDE_LABEL: value, "round": round.to_string() } } });
                let nodes = &nodes;
                async move {
                    nodes.patch_metadata(&member.name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ())
                }
            })
            .buffer_unordered(8)
            .try_collect::<()>()
            .await?;
    }
    Ok(())
}

fn reloads(status: &ClusterStatus) -> u64 {
    status.load_balancers.iter().map(|lb| lb.reloads).sum()
}
