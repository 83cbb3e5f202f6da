//! The ingress is restarted node by node, as a DaemonSet does it, while clients never stop: nothing may fail.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rstest::rstest;
use tidegate_core::eligibility::Rule;
use tidegate_core::engine::EngineKind;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::ingress::IngressOptions;
use tidegate_testbed::pods::IngressPods;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, in_sync, node};
use tidegate_testbed::traffic::TrafficOptions;
use tokio::sync::Semaphore;

const REQUESTS: u64 = 100_000;
/// The preStop hook of the pods: longer than a keep-alive connection lives.
const PRE_STOP: Duration = Duration::from_secs(4);

const BY_PODS: &str = "follow: { namespace: ingress-nginx, selector: app.kubernetes.io/name=ingress-nginx }";
const BY_ENDPOINTS: &str = "follow: { namespace: ingress-nginx, service: ingress-nginx-controller }";

/// A load is a quarter of what a small machine can do: two at a time.
static LOADS: Semaphore = Semaphore::const_new(2);

#[rstest]
#[case(EngineKind::Nginx, BY_PODS)]
#[case(EngineKind::Haproxy, BY_ENDPOINTS)]
#[case(EngineKind::Envoy, BY_PODS)]
#[case(EngineKind::Nftables, BY_ENDPOINTS)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_in_a_rolling_restart_of_the_ingress(
    #[case] engine: EngineKind,
    #[case] follow: &'static str,
) -> Result<()> {
    let _load = LOADS.acquire().await?;
    let (mut scene, pods) = followed(engine, follow).await?;
    let traffic = scene.site.traffic(TrafficOptions::heavy(scene.site.lb_address(PORT)?))?;
    let workers: Vec<String> = scene.site.workers.keys().cloned().collect();
    let mut noticed = Vec::new();
    while noticed.is_empty() || traffic.stats().sent() < REQUESTS {
        for worker in &workers {
            noticed.push(restart(&mut scene, &pods, worker).await?);
        }
    }
    let total = traffic.stop().await?;
    noticed.sort_unstable();
    println!("{engine}: {} restarts, out after {:?} to {:?}: {total}", noticed.len(), noticed.first(), noticed.last());
    assert_eq!(total.failed(), 0, "{total}");
    assert_eq!(total.retried_reset, 0, "a reused connection was reset: {total}");
    assert!(total.new.sent > 20_000 && total.keepalive.sent > 20_000, "both classes must be busy: {total}");
    assert!(total.sent() >= REQUESTS, "{total}");
    Ok(())
}

/// A site whose listener follows the ingress, with a Ready pod on every node.
async fn followed(engine: EngineKind, follow: &'static str) -> Result<(Scenario, IngressPods)> {
    let ingress = IngressOptions { keepalive_time: 2, keepalive_timeout: 1, ..IngressOptions::default() };
    let site = tidegate_testbed::Site::start(SiteOptions { ingress, ..SiteOptions::without_lifecycle() }).await?;
    let pods = IngressPods::new(site.cluster.client().await?).await?;
    for worker in site.workers.keys() {
        pods.start(worker).await?;
        pods.ready(worker).await?;
    }
    let config = RunConfig { engine, listener_extra: follow, ..RunConfig::default() };
    let mut scene = Scenario::serving_on(site, config).await?;
    scene.wait("every node carries the listener", |status| carriers(status) == 3 && in_sync(status)).await?;
    Ok((scene, pods))
}

/// What DaemonSet controller and kubelet do to one pod. Answers how long its node still received new connections.
async fn restart(scene: &mut Scenario, pods: &IngressPods, worker: &str) -> Result<Duration> {
    let deleted = Instant::now();
    pods.delete(worker).await?;
    let out = |status: &ClusterStatus| parted_by(status, worker) == Some(Rule::PodEnding) && in_sync(status);
    let (at, _) = scene.wait("the node of the ending pod is out", out).await?;
    let took = at.saturating_duration_since(deleted);
    ensure!(took < PRE_STOP, "{worker} is still served when its ingress stops: {took:?}");
    tokio::time::sleep(PRE_STOP.saturating_sub(deleted.elapsed())).await;
    scene.site.worker(worker)?.ingress.stop_gracefully().await.context("the ingress ends")?;
    pods.gone(worker).await?;
    pods.start(worker).await?;
    scene.site.worker(worker)?.ingress.restart().await?;
    pods.ready(worker).await?;
    scene.wait("its successor is served", |status| carriers(status) == 3 && in_sync(status)).await?;
    Ok(took)
}

fn parted_by(status: &ClusterStatus, worker: &str) -> Option<Rule> {
    node(status, worker)?.listeners.first().map(|at| at.rule)
}

/// Active backends whom the load balancer serves.
fn carriers(status: &ClusterStatus) -> usize {
    let backends = status.load_balancers.iter().flat_map(|lb| &lb.backends);
    backends.filter(|b| !b.draining && b.probe.as_ref().is_none_or(|probe| !probe.out)).count()
}
