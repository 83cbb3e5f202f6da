//! What a client gets through the engine, beside what it gets from a node directly: in turn, in the same run.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use tidegate_testbed::scenario::{PORT, Scenario};
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::{Host, Site};

/// Clients that each send the next request when the last one is answered.
const CLIENTS: u32 = 32;
/// More than they can: what limits them is what they wait for.
const AS_MANY_AS_THEY_CAN: u32 = 1_000_000;

/// Requests per second, and the p99 in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Throughput {
    pub rate: f64,
    pub p99: f64,
}

/// Medians over all rounds.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    pub engine: Throughput,
    pub direct: Throughput,
    /// The same packets through the load balancer machine, which only forwards them: what its place on the way costs.
    pub routed: Throughput,
}

/// As many rounds of `seconds` for each of the two; `reuse`: on connections that are used again.
pub async fn measure(scene: &Scenario, reuse: bool, rounds: u32, seconds: u64) -> Result<Compared> {
    let through = scene.site.lb_address(PORT)?;
    let node = scene.site.worker("worker-1")?.host.address(80);
    let (mut engine, mut direct, mut routed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        direct.push(one(scene, node, reuse, seconds).await?);
        engine.push(one(scene, through, reuse, seconds).await?);
        route(scene, "add")?;
        let seen = one(scene, node, reuse, seconds).await;
        route(scene, "del")?;
        routed.push(seen?);
    }
    Ok(Compared { engine: median(&engine), direct: median(&direct), routed: median(&routed) })
}

/// Client and node reach each other through the load balancer machine, or directly again.
fn route(scene: &Scenario, action: &str) -> Result<()> {
    let site = &scene.site;
    let (lb, node) = (&site.lb(Site::LB)?.host, &site.worker("worker-1")?.host);
    let forward =
        ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0"];
    run(lb, "sysctl", &[["-q", "-w"].as_slice(), &forward].concat())?;
    let gateway = lb.ipv4().to_string();
    for (host, other) in [(&site.client, node), (node, &site.client)] {
        let other = format!("{}/32", other.ipv4());
        run(host, "ip", &["route", action, &other, "via", &gateway])?;
    }
    Ok(())
}

fn run(host: &Host, program: &str, args: &[&str]) -> Result<()> {
    let output = host.command(program).args(args).output()?;
    ensure!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

async fn one(scene: &Scenario, target: SocketAddr, reuse: bool, seconds: u64) -> Result<Throughput> {
    let traffic = scene.site.traffic(TrafficOptions {
        new_per_second: 0,
        keepalive_connections: CLIENTS,
        keepalive_per_second: AS_MANY_AS_THEY_CAN,
        reuse,
        ..TrafficOptions::new(target)
    })?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let seen = traffic.stop().await?;
    ensure!(seen.failed() == 0, "requests failed: {seen}");
    Ok(Throughput { rate: seen.rate(), p99: seen.p99().as_secs_f64() * 1e3 })
}

fn median(all: &[Throughput]) -> Throughput {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Throughput {
        rate: middle(all.iter().map(|one| one.rate).collect()),
        p99: middle(all.iter().map(|one| one.p99).collect()),
    }
}
