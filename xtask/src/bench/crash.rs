//! `bench crash`: how long a node that died still gets new connections, with Tidegate's probes and with what Kubernetes
//! says alone.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use jiff::Zoned;
use tidegate_core::engine::EngineKind;
use tidegate_core::log::Phase;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::cluster::ClusterOptions;
use tidegate_testbed::crash::{Crash, PROBES, VICTIM, Witness, probed, serving};
use tidegate_testbed::scenario::{PORT, Scenario, stands};
use tidegate_testbed::traffic::{Traffic, TrafficOptions};

use super::engines::parse_engine;
use super::statistics::Samples;

/// How long a node stays dead after its load balancer has noticed, and alive before it dies again.
const PAUSE: Duration = Duration::from_millis(1_200);
/// The goal of the time until the last new connection.
const GOAL: Duration = Duration::from_secs(1);
/// What Kubernetes waits for a heartbeat by default (`--node-monitor-grace-period`, since 1.32).
const GRACE: Duration = Duration::from_secs(50);
/// Kubernetes takes about 50 s.
const LIFECYCLE: Duration = Duration::from_secs(120);

/// Crashes.
#[derive(Debug, clap::Args)]
pub struct CrashBench {
    /// Only this engine; may be repeated. docs/crashes.md is written when all are measured, with at least 50 crashes each.
    #[arg(long = "engine", value_parser = parse_engine)]
    only: Vec<EngineKind>,
    /// Crashes of each engine, in turn of each kind.
    #[arg(long, default_value_t = 50)]
    crashes: usize,
}

/// What became of the crashes of one kind.
#[derive(Debug, Default)]
struct Kind {
    /// From the crash to the last new connection.
    last: Samples,
    /// Requests that failed.
    lost: u64,
}

struct Figures {
    engine: EngineKind,
    kinds: Vec<(Crash, Kind)>,
    /// The same crash without probes: time to the last new connection, and requests lost.
    without: (Duration, u64),
}

impl CrashBench {
    pub async fn measure(&self) -> Result<()> {
        let all = [EngineKind::Nginx, EngineKind::Haproxy, EngineKind::Envoy, EngineKind::Nftables];
        let chosen = if self.only.is_empty() { all.to_vec() } else { self.only.clone() };
        let mut figures = Vec::new();
        for engine in chosen {
            eprintln!("{engine} ...");
            let kinds = with_probes(engine, self.crashes).await?;
            figures.push(Figures { engine, kinds, without: without_probes(engine).await? });
        }
        let table = table(&figures);
        println!("{table}");
        if self.only.is_empty() && self.crashes >= 50 {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/crashes.md");
            fs::write(&path, document(&table))?;
            println!("written: docs/crashes.md");
        }
        Ok(())
    }
}

async fn scene(engine: EngineKind, lifecycle: bool, probes: &'static str) -> Result<Scenario> {
    let cluster = ClusterOptions { controller_manager: lifecycle, node_grace: GRACE, ..ClusterOptions::default() };
    let binary = crate::build::release_binary();
    serving(SiteOptions { cluster, binary, ..SiteOptions::default() }, engine, probes).await
}

fn load(scene: &Scenario) -> Result<Traffic> {
    scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))
}

async fn with_probes(engine: EngineKind, crashes: usize) -> Result<Vec<(Crash, Kind)>> {
    let mut scene = scene(engine, false, PROBES).await?;
    scene.wait("every node asked", |status| probed(status, false)).await?;
    let witness = Witness::start(&scene.site)?;
    let traffic = load(&scene)?;
    let victim = scene.site.worker(VICTIM)?.host.ipv4();
    let mut kinds: Vec<(Crash, Kind)> = Crash::ALL.map(|crash| (crash, Kind::default())).into();
    for number in 0..crashes {
        let (crash, kind) = kinds.get_mut(number % Crash::ALL.len()).context("a kind of crash")?;
        tokio::time::sleep(PAUSE).await;
        let (before, died) = (traffic.stats(), SystemTime::now());
        crash.strike(scene.site.worker(VICTIM)?)?;
        scene.wait("out", |status| probed(status, true)).await?;
        tokio::time::sleep(PAUSE).await;
        let dials = witness.dials(victim, died)?;
        kind.last.add(dials.into_iter().max().unwrap_or_default());
        // In flight for as long as a client waits.
        kind.lost += traffic.stats().since(&before).failed();
        crash.heal(scene.site.worker(VICTIM)?).await?;
        scene.wait("back", |status| probed(status, false)).await?;
    }
    traffic.stop().await?;
    Ok(kinds)
}

/// Power is lost, and only the lifecycle controller notices.
async fn without_probes(engine: EngineKind) -> Result<(Duration, u64)> {
    let mut scene = scene(engine, true, "probes: { enabled: false }").await?;
    let witness = Witness::start(&scene.site)?;
    let traffic = load(&scene)?;
    tokio::time::sleep(PAUSE).await;
    let victim = scene.site.worker(VICTIM)?.host.ipv4();
    let (before, died) = (traffic.stats(), SystemTime::now());
    scene.site.power_off(VICTIM)?;
    let noticed = scene.status.wait("Kubernetes notices", LIFECYCLE, |status| !stands(status, VICTIM, Phase::Active));
    noticed.await?;
    tokio::time::sleep(PAUSE * 3).await;
    let last = witness.dials(victim, died)?.into_iter().max().unwrap_or_default();
    ensure!(last > Duration::from_secs(5), "{engine}: the last new connection came after {last:?} without any probe");
    let lost = traffic.stop().await?.since(&before).failed();
    Ok((last, lost))
}

fn table(figures: &[Figures]) -> String {
    let mut text = String::from(
        "| engine | crash | n | last new connection p50 | p99 | goal | requests lost per crash | Kubernetes alone: last | lost |
|---|---|---|---|---|---|---|---|---|\n",
    );
    for Figures { engine, kinds, without: (last, lost) } in figures {
        for (crash, Kind { last: samples, lost: lost_here }) in kinds.iter().filter(|(_, kind)| kind.last.len() > 0) {
            let tail = samples.quantile(0.99);
            let verdict = if tail <= GOAL.as_secs_f64() * 1e3 { "met" } else { "**missed**" };
            let alone = if *crash == Crash::Unplugged {
                (format!("{:.0} s", last.as_secs_f64()), lost.to_string())
            } else {
                Default::default()
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {engine} | {crash} | {} | {:.0} ms | {tail:.0} ms | 1,000 ms: {verdict} | {:.1} | {} | {} |",
                samples.len(),
                samples.quantile(0.5),
                average(*lost_here, samples.len()),
                alone.0,
                alone.1,
            );
        }
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn average(sum: u64, count: usize) -> f64 {
    sum as f64 / count.max(1) as f64
}

fn document(table: &str) -> String {
    format!(
        "# Nodes that die

Written by `cargo xtask bench crash`; do not edit. The run of {}, as a release build, under 200 new connections and 200 keep-alive requests a
second to three nodes. *Last new connection*: from the crash to the last connection that the load balancer machine begins to the dead node, as its
kernel sees it (conntrack), probes not counted. The node's kubelet goes on saying Ready; probes are the defaults, with `http`.

* unplugged: its cable is pulled. killed: its ingress is killed, connections are refused. dropped: its kernel drops packets. reset: its kernel
  resets connections. silent: its ingress hangs, the kernel accepts and nobody answers.
* Requests lost are those whose clients saw a failure: what was in flight, and what was begun before the node was out. nginx, HAProxy and Envoy try
  another node where a connection cannot be made.
* *Kubernetes alone*: the same load, the node loses its power, and no probe is asked: what `NotReady` takes to arrive.

{table}",
        Zoned::now().date()
    )
}
