//! `bench probes`: what asking thousands of backends costs the agent, beside bare connections in the same run.

use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use tidegate_core::engine::EngineKind;
use tidegate_core::probe::{Check, Pace, Probe};
use tidegate_testbed::Host;
use tidegate_testbed::lab::Task;

use super::agent::{Agent, address};

/// Where the backends answer: one server for all of them.
const PORT: u16 = 8080;
/// Until every backend has been asked and the engine has come to rest.
const SETTLE: Duration = Duration::from_secs(5);
/// Of CPU time in /proc (`getconf CLK_TCK` on Linux).
const TICKS: f64 = 100.0;

/// Probes.
#[derive(Debug, clap::Args)]
pub struct Probes {
    /// How many backends are asked, each four times a second.
    #[arg(long, default_value_t = 5_000)]
    backends: u16,
    /// How long to measure.
    #[arg(long, default_value_t = 20)]
    seconds: u16,
}

impl Probes {
    pub async fn measure(&self) -> Result<()> {
        let folder = tempfile::Builder::new().prefix("tg-bench-").tempdir()?;
        let agent = Agent::start(EngineKind::Nginx, folder.path()).await?;
        everybody_answers(&agent.host)?;
        let (asked, server) = serve(&agent.host)?;
        let probe = Probe { check: Some(Check::Tcp), port: NonZeroU16::new(PORT), pace: Pace::default() };
        agent.send(&agent.hook(1, self.backends, probe)?).await?;
        tokio::time::sleep(SETTLE).await;
        let (before, spent) = (asked.load(Ordering::Relaxed), cpu_seconds(agent.process.pid())?);
        tokio::time::sleep(Duration::from_secs(self.seconds.into())).await;
        let probes = asked.load(Ordering::Relaxed) - before;
        let spent = cpu_seconds(agent.process.pid())? - spent;
        let bare = bare_microseconds(&agent.host).await?;
        drop(server);
        let seconds = f64::from(self.seconds);
        #[expect(clippy::cast_precision_loss, reason = "a count of a few seconds")]
        let count = probes as f64;
        let each = spent / count.max(1.0) * 1e6;
        println!(
            "{} backends: {:.0} probes a second, {:.1} % of one core (goal: <= 50 %); {each:.1} us a probe, a bare connection and its reset {bare:.1} us: {:.2} x",
            self.backends,
            count / seconds,
            spent / seconds * 100.0,
            each / bare,
        );
        ensure!(count / seconds > 3.5 * f64::from(self.backends), "too few probes: the prober starves");
        Ok(())
    }
}

/// Every address of the backends is one of this machine.
fn everybody_answers(host: &Host) -> Result<()> {
    let output = host.command("ip").args(["route", "add", "local", "10.1.0.0/16", "dev", "lo"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Accepts and counts.
fn serve(host: &Host) -> Result<(Arc<AtomicU64>, Task<()>)> {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let task = host.start(move || async move {
        let Ok(listener) = tokio::net::TcpListener::bind(("0.0.0.0", PORT)).await else { return };
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    Ok((asked, task))
}

/// CPU time of a process so far, in user and kernel.
fn cpu_seconds(pid: u32) -> Result<f64> {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

fn ticks(stat: &str) -> Result<f64> {
    // The name before may contain anything, also spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |n: usize| -> Result<f64> { Ok(fields.get(n).context("too few fields")?.parse()?) };
    Ok((field(11)? + field(12)?) / TICKS)
}

/// CPU time of one connection that is made and reset, by a thread that does nothing else.
async fn bare_microseconds(host: &Host) -> Result<f64> {
    const TIMES: u16 = 20_000;
    let seconds = host
        .run(|| async {
            let before = ticks(&fs::read_to_string("/proc/thread-self/stat")?)?;
            for n in 0..TIMES {
                let stream = TcpStream::connect(SocketAddr::new(address(n % 5_000), PORT))?;
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
            }
            anyhow::Ok(ticks(&fs::read_to_string("/proc/thread-self/stat")?)? - before)
        })
        .await??;
    Ok(seconds / f64::from(TIMES) * 1e6)
}
