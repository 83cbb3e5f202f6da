//! Nodes that die in several ways, and a witness who notes each new connection that is still sent to them.

use std::fmt;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use rustix::process::Signal;
use tidegate_core::engine::EngineKind;
use tidegate_core::status::ClusterStatus;

use crate::lab::Host;
use crate::process::Process;
use crate::scenario::{RunConfig, Scenario};
use crate::site::{Site, SiteOptions, Worker};

/// The node that dies.
pub const VICTIM: &str = "worker-2";
/// The prober asks from an address of its own, so that a witness can tell it from the traffic.
const PROBER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 250);
/// Key of the agent: probes from that address.
pub const PROBES: &str = "probes: { sources: [ 10.77.0.250 ] }";

/// A serving site whose nodes are asked for HTTP, with another address on its load balancer machine for the prober.
pub async fn serving(options: SiteOptions, engine: EngineKind, agent_extra: &'static str) -> Result<Scenario> {
    let site = Site::start(options).await?;
    add_address(&site.lb(Site::LB)?.host, PROBER)?;
    let listener_extra = "probe: { http: { path: /healthz } }";
    let config = RunConfig { engine, listener_extra, agent_extra, ..RunConfig::default() };
    Scenario::serving_on(site, config).await
}

/// Whether every listener's probe of the victim has come to this.
pub fn probed(status: &ClusterStatus, out: bool) -> bool {
    let backends = status.load_balancers.iter().flat_map(|lb| &lb.backends);
    let mut victims = backends.filter(|b| b.node.as_str() == VICTIM).peekable();
    victims.peek().is_some() && victims.all(|b| b.probe.as_ref().is_some_and(|probe| probe.out == out))
}

/// How a node dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crash {
    /// Its cable is pulled: packets vanish.
    Unplugged,
    /// Its ingress is killed: connections are refused.
    Killed,
    /// Its kernel drops what comes for the ingress.
    Dropped,
    /// Its kernel resets what comes for the ingress.
    Reset,
    /// Its ingress hangs: the kernel accepts, and nobody answers.
    Silent,
}

impl Crash {
    pub const ALL: [Self; 5] = [Self::Unplugged, Self::Killed, Self::Dropped, Self::Reset, Self::Silent];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unplugged => "unplugged",
            Self::Killed => "killed",
            Self::Dropped => "dropped",
            Self::Reset => "reset",
            Self::Silent => "silent",
        }
    }

    /// The node dies; its kubelet, which is elsewhere, goes on saying that it is Ready.
    pub fn strike(self, worker: &Worker) -> Result<()> {
        match self {
            Self::Unplugged => worker.host.unplug(),
            Self::Killed => worker.ingress.kill9(),
            Self::Dropped => filter(&worker.host, "drop"),
            Self::Reset => filter(&worker.host, "reject with tcp reset"),
            Self::Silent => worker.ingress.process().signal_group(Signal::STOP),
        }
    }

    /// It is as it was before.
    pub async fn heal(self, worker: &Worker) -> Result<()> {
        match self {
            Self::Unplugged => worker.host.plug(),
            Self::Killed => worker.ingress.restart().await,
            Self::Dropped | Self::Reset => nft(&worker.host, "delete table inet crash"),
            Self::Silent => worker.ingress.process().signal_group(Signal::CONT),
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn filter(host: &Host, verdict: &str) -> Result<()> {
    nft(
        host,
        &format!(
            "table inet crash {{ chain input {{ type filter hook input priority 0; policy accept; tcp dport 80 {verdict}; }}; }}"
        ),
    )
}

fn nft(host: &Host, script: &str) -> Result<()> {
    let output = host.command("nft").arg(script).output().context("starting nft")?;
    ensure!(output.status.success(), "nft {script}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Notes every new connection that leaves a load balancer machine, but for those of the prober.
#[derive(Debug)]
pub struct Witness {
    process: Process,
}

impl Witness {
    /// Watches the load balancer machine of a site.
    pub fn start(site: &Site) -> Result<Self> {
        let lb = &site.lb(Site::LB)?.host;
        // Connections are only tracked where a rule asks for it.
        nft(lb, "table inet witness { chain out { type filter hook output priority 0; ct state new counter; }; }")?;
        let argv = ["conntrack", "-E", "-e", "NEW", "-o", "timestamp", "-p", "tcp"];
        let process = lb.spawn("witness", &argv, site.folder().join("witness.log"))?;
        Ok(Self { process })
    }

    /// When new connections to a node were begun, after `from`, each with how long after.
    pub fn dials(&self, node: Ipv4Addr, from: SystemTime) -> Result<Vec<Duration>> {
        ensure!(self.process.is_running(), "the witness has ended: {}", self.process.log_tail(5));
        let text = fs::read_to_string(self.process.log())?;
        let times = text.lines().filter_map(|line| dial(line, node));
        Ok(times.filter_map(|at| at.duration_since(from).ok()).collect())
    }
}

/// `[1764444444.123456] [NEW] tcp 6 120 SYN_SENT src=… dst=… sport=… dport=… [UNREPLIED] src=… …`: the second `src` is who
/// is expected to answer, which is the node also where the kernel translates addresses.
fn dial(line: &str, node: Ipv4Addr) -> Option<SystemTime> {
    let (head, rest) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    let mut sources = rest.split_whitespace().filter_map(|word| word.strip_prefix("src="));
    let (from, to) = (sources.next()?, sources.next()?);
    if to != node.to_string() || from == PROBER.to_string() {
        return None;
    }
    let (seconds, micros) = head.split_once('.')?;
    let since = Duration::from_secs(seconds.trim().parse().ok()?) + Duration::from_micros(micros.parse().ok()?);
    Some(SystemTime::UNIX_EPOCH + since)
}

/// A second address of a machine, for its prober.
fn add_address(host: &Host, address: Ipv4Addr) -> Result<()> {
    let mut ip: Command = host.command("ip");
    let output = ip.args(["addr", "add", &format!("{address}/24"), "dev", "eth0"]).output().context("starting ip")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
