//! `tidegate doctor` on a site that works, and on the same site with one thing after the other gone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::{Context, Result};
use tidegate_testbed::scenario::{RunConfig, Scenario};
use tidegate_testbed::{Site, SiteOptions};

#[derive(Debug, serde::Deserialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, serde::Deserialize)]
struct Finding {
    about: String,
    result: String,
    what: String,
    cure: Option<String>,
}

/// What it says of this configuration, and its exit code.
fn doctor(scene: &Scenario, config: &std::path::Path) -> Result<(Report, Option<i32>)> {
    let args = ["doctor", "-c", config.to_str().context("a path")?, "-o", "json"];
    let output = scene.site.tidegate_command(Site::LB, &args)?.output()?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((serde_json::from_slice(&output.stdout).with_context(said)?, output.status.code()))
}

fn results(report: &Report) -> Vec<(&str, &str)> {
    report.findings.iter().map(|found| (found.about.as_str(), found.result.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_thing_that_is_missing_is_named_with_its_cure() -> Result<()> {
    let scene = Scenario::serving(SiteOptions::without_lifecycle(), RunConfig::default()).await?;
    let config = scene.tidegate.config().to_owned();
    let (report, code) = doctor(&scene, &config)?;
    assert_eq!((report.ok, code), (true, Some(0)), "{report:?}");
    let about = ["API server", "rights", "clock", "store", "engine", "folder", "folder"];
    assert_eq!(results(&report), about.map(|about| (about, "good")), "{report:?}");
    assert!(report.findings.iter().all(|found| found.cure.is_none()), "{report:?}");

    // Credentials of somebody who may do nothing.
    let text = std::fs::read_to_string(&config)?;
    let nobody = scene.site.cluster.kubeconfig_for("nobody", None)?;
    let ours = scene.site.kubeconfig().display().to_string();
    assert!(text.contains(&ours), "{text}");
    let weak = config.with_file_name("weak.yaml");
    std::fs::write(&weak, text.replace(&ours, &nobody.display().to_string()))?;
    let (report, code) = doctor(&scene, &weak)?;
    assert_eq!((report.ok, code), (false, Some(1)));
    let rights = report.findings.iter().find(|found| found.about == "rights").unwrap();
    assert!(rights.what.contains("list nodes") && rights.what.contains("get namespaces kube-system"), "{rights:?}");
    assert!(rights.cure.as_deref().unwrap_or_default().contains("rbac.yaml"), "{rights:?}");

    // The same file once more, and a server that is stopped.
    scene.site.cluster.pause()?;
    let stopped = doctor(&scene, &config);
    scene.site.cluster.resume()?;
    let (report, code) = stopped?;
    assert_eq!(code, Some(1));
    assert_eq!(results(&report).first(), Some(&("API server", "failure")), "{report:?}");
    assert!(results(&report).contains(&("store", "good")), "the rest is looked at all the same: {report:?}");
    Ok(())
}
