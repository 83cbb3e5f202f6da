//! `kill -9` of tidegate at each step of the commit and of the pipeline, under traffic, then a restart.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_testbed::deadline;
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario, in_sync, left};
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::{Site, SiteOptions};

/// A probe's first answer may cause one more apply.
const SWEPT: Duration = Duration::from_secs(10);

/// Every named point; `#2` is the second time it is reached after a start: the first commit of a process
/// is its election, the second one the change.
const POINTS: &[&str] = &[
    "commit:begin#1",
    "commit:inserted#1",
    "commit:done#1",
    "commit:begin#2",
    "commit:inserted#2",
    "commit:done#2",
    "nodes:written#1",
    "render:done#1",
    "validate:done#1",
    "swap:temp-written#1",
    "swap:synced#1",
    "swap:renamed#1",
    "swap:dir-synced#1",
    "reload:sent#1",
    "verify:done#1",
    "snapshot:written#1",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_loses_no_request_and_no_decision() -> Result<()> {
    let options = SiteOptions::without_lifecycle();
    let config = RunConfig { drain_timeout: "10m", min_reload_interval: "100ms", ..RunConfig::default() };
    let mut scene = Scenario::serving(options, config).await?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;
    for (number, point) in POINTS.iter().enumerate() {
        crash(&mut scene, point, number % 2 == 0).await.with_context(|| format!("crash at {point}"))?;
        let failed = traffic.stats().failed();
        ensure!(failed == 0, "a crash at {point} cost {failed} requests: {}", traffic.stats());
    }
    let total = traffic.stop().await?;
    println!("{} crashes: {total}", POINTS.len());
    assert_eq!(total.failed() + total.retried_reset, 0, "{total}");
    Ok(())
}

async fn crash(scene: &mut Scenario, point: &str, excluded: bool) -> Result<()> {
    scene.tidegate.terminate(Duration::from_secs(10)).await?;
    scene.tidegate.process().restart_with_env(&[("TIDEGATE_CRASH_AT", point)])?;
    // Points of the start are reached before the change, all others by it.
    let kubelet = &scene.site.worker("worker-1")?.kubelet;
    kubelet.label(EXCLUDE_LABEL, excluded.then_some("true")).await?;
    let ended = scene.tidegate.process().wait(Duration::from_secs(30)).await?;
    ensure!(
        ended.signal() == Some(9),
        "it should have killed itself there, but {ended}\n{}",
        scene.tidegate.log_tail(20)
    );
    check_live_file(scene).await?;

    scene.tidegate.restart()?;
    scene.wait_up().await?;
    scene.wait("the change live", |status| in_sync(status) && left(status, "worker-1") == excluded).await?;
    check_live_file(scene).await?;
    let folder = scene.site.folder();
    let clean = deadline::until("what the crash left being gone", SWEPT, || {
        std::future::ready(no_temporary_files(folder).ok())
    });
    clean.await.map(drop).with_context(|| format!("{:?}", no_temporary_files(folder)))
}

/// The file at the live path is complete and passes nginx's own check.
async fn check_live_file(scene: &Scenario) -> Result<()> {
    let file = scene.config.config_file(&scene.site);
    let host = &scene.site.lb(Site::LB)?.host;
    let errors = scene.site.folder().join("check-error.log");
    let mut check = tokio::process::Command::from(host.command("nginx"));
    let output = check.arg("-t").arg("-e").arg(errors).arg("-c").arg(&file).output().await?;
    ensure!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What a crash leaves beside the live file is gone after the next start.
fn no_temporary_files(folder: &Path) -> Result<()> {
    let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    let left: Vec<&String> = names.iter().filter(|name| name.starts_with(".nginx.conf")).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}
