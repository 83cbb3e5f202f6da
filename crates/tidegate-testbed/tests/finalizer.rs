//! A Node that is deleted under load stays until no load balancer sends it traffic; so does one that an operator drains.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use tidegate_core::finalizer::FINALIZER;
use tidegate_core::log::Phase;
use tidegate_core::position::Term;
use tidegate_testbed::replicas::{LIMIT, ReplicaConfig, Replicas};
use tidegate_testbed::scenario::{PORT, in_sync, node, stands};
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::{SiteOptions, deadline};

const REQUESTS: u64 = 100_000;
/// `nodes.drainTimeout` of these tests.
const DRAIN: Duration = Duration::from_secs(12);

async fn finalizers(replicas: &Replicas, name: &str) -> Result<Option<Vec<String>>> {
    let nodes: Api<Node> = Api::all(replicas.site.cluster.client().await?);
    Ok(nodes.get_opt(name).await?.map(|node| node.metadata.finalizers.unwrap_or_default()))
}

async fn wait_for_finalizer(replicas: &Replicas, name: &str) -> Result<()> {
    let ours = |list: Option<Vec<String>>| list.is_some_and(|list| list.iter().any(|f| f == FINALIZER));
    let seen = || async { finalizers(replicas, name).await.is_ok_and(ours).then_some(()) };
    deadline::until("the finalizer", LIMIT, seen).await.with_context(|| replicas.logs())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_deleted_under_load_lose_no_request() -> Result<()> {
    let mut replicas = Replicas::serving(SiteOptions::without_lifecycle(), ReplicaConfig::default()).await?;
    let (leader, _) = replicas.leader(Term(0)).await?;
    let target = replicas.site.lb_address(PORT)?;
    let traffic = replicas.site.traffic(TrafficOptions::heavy(target))?;
    let (mut rounds, mut longest) = (0, Duration::ZERO);
    while rounds == 0 || traffic.stats().sent() < REQUESTS {
        rounds += 1;
        let name = format!("added-{rounds}");
        replicas.site.add_worker(&name).await?;
        replicas.wait(leader, "the new node is live", |s| in_sync(s) && stands(s, &name, Phase::Active)).await?;
        wait_for_finalizer(&replicas, &name).await?;

        let deleted = Instant::now();
        replicas.site.worker(&name)?.kubelet.delete().await?;
        let held = |s: &tidegate_core::status::ClusterStatus| s.finalizers.iter().any(|f| f.node.as_str() == name);
        replicas.wait(leader, "its deletion waits", held).await?;
        replicas.site.worker(&name)?.kubelet.wait_gone(LIMIT).await.with_context(|| replicas.logs())?;
        longest = longest.max(deleted.elapsed());
        // Whoever waits for the Node object to go may switch the machine off at that very moment.
        replicas.site.remove_worker(&name)?;
    }
    let total = traffic.stop().await?;
    println!("{rounds} nodes deleted, the longest gone after {longest:?}: {total}");
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    assert!(total.sent() >= REQUESTS, "{total}");
    assert!(longest < DRAIN + Duration::from_secs(2), "{longest:?}");
    Ok(())
}

fn run(mut command: std::process::Command) -> Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_drain_outlives_the_leader_until_it_is_taken_back() -> Result<()> {
    let replicas = Replicas::serving(SiteOptions::without_lifecycle(), ReplicaConfig::default()).await?;
    let (first, term) = replicas.leader(Term(0)).await?;
    run(replicas.command(first, &["drain", "worker-1", "--why", "new disk", "--by", "ada"])?)?;
    let drained = |s: &tidegate_core::status::ClusterStatus| {
        node(s, "worker-1").is_some_and(|n| n.state != Phase::Active && n.reason.contains("ada")) && in_sync(s)
    };
    replicas.wait(first, "worker-1 drains", drained).await?;

    replicas.controller(first)?.tidegate.terminate(LIMIT).await?;
    let (second, _) = replicas.leader(term).await?;
    let out = |s: &tidegate_core::status::ClusterStatus| drained(s) && stands(s, "worker-1", Phase::Out);
    replicas.wait(second, "worker-1 is out", out).await?;

    run(replicas.command(second, &["undrain", "worker-1", "--by", "ada"])?)?;
    replicas.wait(second, "worker-1 is back", |s| in_sync(s) && stands(s, "worker-1", Phase::Active)).await?;
    let history = run(replicas.site.tidegate_command(second, &["history", "worker-1"])?)?;
    assert!(history.contains("new disk") && history.contains("undrain"), "{history}");
    Ok(())
}
