//! What these tests ask of a running site.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use tidegate_core::guard::Guard;
use tidegate_core::status::{ClusterStatus, HistoryChange, HistoryRow};
use tidegate_testbed::Site;
use tidegate_testbed::crash::VICTIM;
use tidegate_testbed::scenario::{RunConfig, Scenario};
use tidegate_testbed::traffic::Snapshot;

/// Of the API, beside the configuration file.
const TOKEN_FILE: &str = "api.token";

/// A configuration with which an operator may give orders, once [`give_token`] was called.
pub fn with_orders(config: RunConfig) -> RunConfig {
    RunConfig { api_extra: "tokenFile: api.token", ..config }
}

pub fn give_token(site: &Site) -> Result<()> {
    Ok(std::fs::write(site.folder().join(TOKEN_FILE), "a-token-of-the-testbed")?)
}

/// What a `tidegate` command prints on the load balancer machine.
fn ask(scene: &Scenario, args: &[&str]) -> Result<String> {
    let output = scene.site.tidegate_command(Site::LB, args)?.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// `tidegate override GUARD` with more arguments.
pub fn override_guard(scene: &Scenario, guard: Guard, how: &[&str]) -> Result<()> {
    let token = scene.site.folder().join(TOKEN_FILE).display().to_string();
    let mut args = vec!["override", guard.name(), "--why", "the test", "--token-file", &token];
    args.extend(how);
    ask(scene, &args).map(|_| ())
}

/// Everything that `tidegate history` knows of all nodes, the newest first.
pub fn history(scene: &Scenario) -> Result<Vec<HistoryChange>> {
    let rows: Vec<HistoryRow> = serde_json::from_str(&ask(scene, &["history", "--limit", "1000", "-o", "json"])?)?;
    Ok(rows.into_iter().filter_map(|row| row.change).collect())
}

/// How many nodes a guard holds.
pub fn held(status: &ClusterStatus, guard: Guard) -> usize {
    status.guards.iter().filter(|held| held.guard == guard).map(|held| held.holding.len()).sum()
}

/// Since when the prober believes the victim dead, from a moment on: the status is told that seconds later.
pub fn believed_dead(status: &ClusterStatus, died: Timestamp) -> Result<Duration> {
    let mut victims = status.load_balancers.iter().flat_map(|lb| &lb.backends).filter(|b| b.node.as_str() == VICTIM);
    let probe = victims.find_map(|backend| backend.probe.as_ref()).context("nobody asks it")?;
    Ok(probe.since.duration_since(died).unsigned_abs())
}

/// Fails as soon as the status is not `right` any more, within this time.
pub async fn stays(
    scene: &mut Scenario,
    time: Duration,
    what: &str,
    right: impl Fn(&ClusterStatus) -> bool,
) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        let status = scene.status.read().await?;
        ensure!(right(&status), "{what}: not so any more after {:?}: {status:#?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// No client has noticed anything.
pub fn nothing_lost(what: &str, seen: &Snapshot) {
    assert!(seen.ok() > 100, "{what}: too little traffic to say anything: {seen}");
    assert_eq!(seen.failed() + seen.retried_reset, 0, "{what}: {seen}");
}
