//! Each signal of a node that leaves on purpose, or is not there yet.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_core::eligibility::Rule;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::status::{ClusterStatus, NodeStatus};
use tidegate_testbed::kubelet::{Kubelet, KubeletOptions};
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, in_sync, node, stands};
use tidegate_testbed::traffic::LongLived;
use tidegate_testbed::{SiteOptions, deadline, lab};

use crate::support::history;

const SOON: Duration = Duration::from_secs(20);
/// "At once", on a machine that does other things too.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Connections that are opened at a time, and how often.
const STREAMS: usize = 40;
const ROUNDS: usize = 5;
/// An agent is asked what it counts every few seconds.
const TOLD: Duration = Duration::from_secs(8);
const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_signal_of_a_node_is_followed_by_its_rule() -> Result<()> {
    let options = SiteOptions { workers: 7, ..SiteOptions::default() };
    let config = RunConfig { drain_timeout: "6s", ..RunConfig::default() };
    let mut scene = Scenario::serving(options, config).await?;
    let _streams = occupy(&mut scene).await?;
    cordoned_and_not_excluded(&scene, "worker-1").await?;
    let took = [
        (Rule::ShuttingDown, shuts_down(&mut scene, "worker-2").await?),
        (Rule::Autoscaler, announced_by_the_autoscaler(&mut scene, "worker-3").await?),
        (Rule::OutOfService, out_of_service(&mut scene, "worker-4").await?),
        (Rule::Excluded, excluded(&mut scene, "worker-5").await?),
        (Rule::Deleting, deleted(&mut scene, "worker-6").await?),
        (Rule::Joining, not_initialized(&mut scene, "worker-6").await?),
    ];
    println!("from the signal, or its end, to live: {took:.0?}");
    for (rule, took) in took {
        assert!(took < AT_ONCE, "{rule}: live after {took:?}");
    }
    // Both have ended on time meanwhile.
    steps(&mut scene, "worker-3", Rule::Autoscaler, &[Phase::Draining, Phase::Out]).await?;
    steps(&mut scene, "worker-5", Rule::Excluded, &[Phase::Draining, Phase::Out]).await?;
    for kept in ["worker-1", "worker-7"] {
        let left: Vec<_> =
            history(&scene)?.into_iter().filter(|c| c.node.as_str() == kept && c.to != Phase::Active).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    Ok(())
}

/// A drain without connections would end early: gives every node some that last.
async fn occupy(scene: &mut Scenario) -> Result<Vec<LongLived>> {
    let target = scene.site.lb_address(PORT)?;
    let mut streams = Vec::new();
    for _ in 0..ROUNDS {
        for _ in 0..STREAMS {
            streams.push(LongLived::open(&scene.site.client, target).await?);
        }
        let busy = |status: &ClusterStatus| {
            let mut backends = status.load_balancers.iter().flat_map(|lb| &lb.backends);
            backends.all(|backend| backend.connections.is_some_and(|open| open > 0))
        };
        // Who gets a connection is chance: more of them, when one has none.
        if scene.status.wait("every node has a connection", TOLD, busy).await.is_ok() {
            return Ok(streams);
        }
    }
    bail!("{} connections, and a node has none", streams.len())
}

/// Waits until a rule speaks for a node that stands so, live.
async fn by_rule(scene: &mut Scenario, name: &str, phase: Phase, rule: Rule) -> Result<NodeStatus> {
    let speaks = |n: &NodeStatus| n.state == phase && n.rule == rule;
    let what = format!("{name} {} by rule {rule}", phase.as_str());
    let (_, status) = scene.wait(&what, |status| in_sync(status) && node(status, name).is_some_and(speaks)).await?;
    node(&status, name).cloned().context("it was there")
}

/// Waits until a node is out, and looks how it got there: the phases that it went through, all by this rule.
async fn steps(scene: &mut Scenario, name: &str, rule: Rule, phases: &[Phase]) -> Result<()> {
    scene.wait(&format!("{name} out"), |status| in_sync(status) && stands(status, name, Phase::Out)).await?;
    let mut went: Vec<_> = history(scene)?.into_iter().filter(|c| c.node.as_str() == name && c.rule == rule).collect();
    went.reverse();
    let seen: Vec<Phase> = went.iter().map(|change| change.to).collect();
    assert_eq!(seen, phases, "{name}: {went:?}");
    assert_eq!(went.first().map(|change| change.from), Some(Phase::Active), "{name}: {went:?}");
    Ok(())
}

/// A cordon, its taint and a label that says "false" are no reason to leave; that it stays is seen at the end.
async fn cordoned_and_not_excluded(scene: &Scenario, name: &str) -> Result<()> {
    let kubelet = &scene.site.worker(name)?.kubelet;
    kubelet.label(EXCLUDE_LABEL, Some("false")).await?;
    kubelet.set_cordoned(true).await?;
    deadline::until("the taint of a cordoned node", SOON, || async {
        let taints = kubelet.node().await.ok()?.spec?.taints?;
        taints.iter().any(|taint| taint.key == "node.kubernetes.io/unschedulable").then_some(())
    })
    .await
}

/// A kubelet that shuts down says so, then it is silent: the drain that it asked for goes on.
async fn shuts_down(scene: &mut Scenario, name: &str) -> Result<Duration> {
    let begun = Instant::now();
    let kubelet = &scene.site.worker(name)?.kubelet;
    kubelet.set_ready(false, "KubeletNotReady", "node is shutting down").await?;
    let leaving = by_rule(scene, name, Phase::Draining, Rule::ShuttingDown).await?;
    let took = begun.elapsed();
    assert!(leaving.reason.contains("node is shutting down"), "{leaving:?}");
    let deadline = leaving.deadline.context("a drain has a deadline")?;
    let lasts = deadline.duration_since(leaving.since).as_secs();
    assert!((59..=60).contains(&lasts), "60 s, whatever nodes.drainTimeout says: {leaving:?}");

    let kubelet = &scene.site.worker(name)?.kubelet;
    kubelet.stop();
    kubelet.wait_ready("Unknown", SOON).await?;
    let silent = by_rule(scene, name, Phase::Draining, Rule::NotReady).await?;
    assert_eq!(silent.deadline, Some(deadline), "{silent:?}");
    Ok(took)
}

async fn announced_by_the_autoscaler(scene: &mut Scenario, name: &str) -> Result<Duration> {
    let begun = Instant::now();
    scene.site.worker(name)?.kubelet.add_taint("ToBeDeletedByClusterAutoscaler", "1", "NoSchedule").await?;
    by_rule(scene, name, Phase::Draining, Rule::Autoscaler).await?;
    Ok(begun.elapsed())
}

/// An operator says that the machine is off: nothing to drain.
async fn out_of_service(scene: &mut Scenario, name: &str) -> Result<Duration> {
    let begun = Instant::now();
    scene
        .site
        .worker(name)?
        .kubelet
        .add_taint("node.kubernetes.io/out-of-service", "nodeshutdown", "NoExecute")
        .await?;
    by_rule(scene, name, Phase::Out, Rule::OutOfService).await?;
    let took = begun.elapsed();
    steps(scene, name, Rule::OutOfService, &[Phase::Out]).await?;
    Ok(took)
}

async fn excluded(scene: &mut Scenario, name: &str) -> Result<Duration> {
    let begun = Instant::now();
    scene.site.worker(name)?.kubelet.label(EXCLUDE_LABEL, Some("")).await?;
    by_rule(scene, name, Phase::Draining, Rule::Excluded).await?;
    Ok(begun.elapsed())
}

/// The Node object stays until its node is out of the load balancer, and then goes.
async fn deleted(scene: &mut Scenario, name: &str) -> Result<Duration> {
    let begun = Instant::now();
    scene.site.worker(name)?.kubelet.delete().await?;
    let leaving = by_rule(scene, name, Phase::Draining, Rule::Deleting).await?;
    let took = begun.elapsed();
    assert!(leaving.reason.contains("deletionTimestamp"), "{leaving:?}");
    scene.site.worker(name)?.kubelet.wait_gone(SOON).await?;
    steps(scene, name, Rule::Deleting, &[Phase::Draining, Phase::Out]).await?;
    Ok(took)
}

/// A machine whose Node is gone comes back as a new one, which its cloud provider has not initialized yet.
async fn not_initialized(scene: &mut Scenario, machine: &str) -> Result<Duration> {
    let addresses = lab::addresses(&scene.site.worker(machine)?.host);
    let options =
        KubeletOptions { taints: vec![UNINITIALIZED.to_owned()], ..KubeletOptions::new("newcomer", addresses) };
    let newcomer = Kubelet::start(scene.site.cluster.client().await?, options).await?;
    newcomer.wait_ready("True", SOON).await?;
    // Longer than `nodes.joinDelay`: it is the taint that keeps it out.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waiting = by_rule(scene, "newcomer", Phase::Out, Rule::Joining).await?;
    assert!(waiting.reason.contains(UNINITIALIZED), "{waiting:?}");
    let initialized = Instant::now();
    newcomer.remove_taint(UNINITIALIZED).await?;
    by_rule(scene, "newcomer", Phase::Active, Rule::Eligible).await?;
    Ok(initialized.elapsed())
}
