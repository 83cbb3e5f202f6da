//! Real controllers through a whole life, as the very ServiceAccount that `deploy/kubernetes` makes: no call is refused,
//! and no right is granted in vain.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use tidegate_core::event::LONGEST_NOTE;
use tidegate_core::finalizer::FINALIZER;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::position::Term;
use tidegate_testbed::cluster::audit::Comparison;
use tidegate_testbed::cluster::service_account::user_of;
use tidegate_testbed::replicas::{CONTROLLERS, LIMIT, ReplicaConfig, Replicas};
use tidegate_testbed::scenario::{in_sync, stands};
use tidegate_testbed::site::Rights;
use tidegate_testbed::{ClusterOptions, SiteOptions, deadline, manifests};

fn audited() -> SiteOptions {
    let cluster = ClusterOptions { audit: true, ..ClusterOptions::default() };
    SiteOptions { cluster, rights: Rights::ServiceAccount, ..SiteOptions::without_lifecycle() }
}

/// What the controllers did until now, beside what they may.
fn compared(replicas: &Replicas) -> Result<Comparison> {
    let shipped = manifests::read_folder(&manifests::deploy_folder().join("kubernetes"))?;
    replicas.site.cluster.audit().compare_with_roles(&user_of("tidegate", "tidegate"), &shipped)
}

async fn with_finalizer(replicas: &Replicas) -> Result<Vec<String>> {
    let nodes: Api<Node> = Api::all(replicas.site.cluster.client().await?);
    let all = nodes.list(&ListParams::default()).await?.items.into_iter();
    let ours = |node: &Node| node.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER);
    Ok(all.filter(ours).filter_map(|node| node.metadata.name).collect())
}

async fn leases(replicas: &Replicas) -> Result<usize> {
    let leases: Api<Lease> = Api::namespaced(replicas.site.cluster.client().await?, "tidegate");
    Ok(leases.list(&ListParams::default()).await?.items.len())
}

/// Out and back in: the Events of the second time are a series, not new ones.
async fn leave_and_return(replicas: &Replicas, leader: &str, name: &str) -> Result<()> {
    let kubelet = &replicas.site.worker(name)?.kubelet;
    for (label, phase) in [(Some("true"), Phase::Out), (None, Phase::Active)] {
        kubelet.label(EXCLUDE_LABEL, label).await?;
        replicas.wait(leader, phase.as_str(), |s| in_sync(s) && stands(s, name, phase)).await?;
    }
    Ok(())
}

/// What `kubectl describe node` shows of a reason that is longer than the API server takes: it ends with `...`.
async fn a_long_reason_is_cut_once(replicas: &Replicas, leader: &str) -> Result<()> {
    let why = "the new disk of this machine came today ".repeat(40);
    let status = replicas.command(leader, &["drain", "worker-3", "--why", &why])?.status()?;
    ensure!(status.success(), "{status}");
    let events: Api<Event> = Api::namespaced(replicas.site.cluster.client().await?, "default");
    let told = || async {
        let events = events.list(&ListParams::default()).await.ok()?;
        events.items.into_iter().filter_map(|event| event.note).find(|note| note.contains("the new disk"))
    };
    let note = deadline::until("an Event about the drain", LIMIT, told).await.with_context(|| replicas.logs())?;
    assert!(note.len() == LONGEST_NOTE && note.ends_with("..."), "{} bytes: {note}", note.len());
    let status = replicas.command(leader, &["undrain", "worker-3"])?.status()?;
    ensure!(status.success(), "{status}");
    replicas.wait(leader, "worker-3 is back", |s| in_sync(s) && stands(s, "worker-3", Phase::Active)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_life_uses_every_right_and_needs_no_other() -> Result<()> {
    let config = ReplicaConfig { drain_timeout: "2s", ..ReplicaConfig::default() };
    let replicas = Replicas::serving(audited(), config).await?;
    let (first, term) = replicas.leader(Term(0)).await?;
    let all = || async { with_finalizer(&replicas).await.is_ok_and(|nodes| nodes.len() == 3).then_some(()) };
    deadline::until("a finalizer on every node", LIMIT, all).await.with_context(|| replicas.logs())?;

    a_long_reason_is_cut_once(&replicas, first).await?;
    for _ in 0..2 {
        leave_and_return(&replicas, first, "worker-1").await?;
    }
    let gone = &replicas.site.worker("worker-2")?.kubelet;
    gone.delete().await?;
    gone.wait_gone(LIMIT).await.with_context(|| replicas.logs())?;
    replicas.wait(first, "worker-2 is out", |s| in_sync(s) && stands(s, "worker-2", Phase::Out)).await?;

    let ended = replicas.controller(first)?.tidegate.terminate(LIMIT).await?;
    assert!(ended.success(), "{}", replicas.logs());
    let (second, _) = replicas.leader(term).await?;
    leave_and_return(&replicas, second, "worker-3").await?;
    // The complete LIST of the resync is the one thing that only time brings.
    let exact = || async { compared(&replicas).is_ok_and(|found| found.is_exact()).then_some(()) };
    let lived = deadline::until("every right was used", LIMIT * 2, exact).await;
    lived.with_context(|| format!("{}\n{}", compared(&replicas).unwrap(), replicas.logs()))?;

    uninstall(&replicas).await?;
    let after = compared(&replicas)?;
    assert!(after.is_exact(), "{after}");
    Ok(())
}

/// Stops what still runs, then takes everything of ours off the cluster, with the same rights.
async fn uninstall(replicas: &Replicas) -> Result<()> {
    let run = |name: &str, more: &[&str]| -> Result<String> {
        let config = replicas.controller(name)?.tidegate.config().display().to_string();
        let args = [&["uninstall", "-c", &config], more].concat();
        let output = replicas.site.tidegate_command(name, &args)?.output()?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{text}");
        Ok(text)
    };
    let [one, ..] = CONTROLLERS;
    // While somebody leads, it would all be put back at once.
    let refused = run(one, &["--yes"]).unwrap_err().to_string();
    ensure!(refused.contains("stop every controller"), "{refused}");
    for replica in replicas.controllers.values().filter(|replica| replica.tidegate.is_running()) {
        ensure!(replica.tidegate.terminate(LIMIT).await?.success(), "{}", replicas.logs());
    }
    let planned = run(one, &[])?;
    ensure!(planned.contains("worker-1") && planned.contains("worker-3"), "{planned}");
    assert_eq!((with_finalizer(replicas).await?.len(), leases(replicas).await?), (2, 1), "a plan changes nothing");
    let done = run(one, &["--yes"])?;
    assert_eq!((with_finalizer(replicas).await?, leases(replicas).await?), (Vec::new(), 0), "{done}");
    Ok(())
}
