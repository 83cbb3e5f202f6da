//! One change among thousands of backends: the shipped agent, told by a signed hook, beside the bare engine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_core::engine::EngineKind;
use tidegate_core::probe::Probe;
use tidegate_core::step::Step;

use super::super::agent::{Agent, address};
use super::super::floor::Floor;
use super::super::statistics::Samples;

/// Longer than the shortest floor between two reloads of nginx.
const IDLE: Duration = Duration::from_millis(250);

/// Times of one change.
#[derive(Debug, Default)]
pub struct Times {
    /// From the hook to its answer.
    pub answered: Samples,
    /// Of that, what the engine was told and asked: reload and verify.
    pub engine: Samples,
    /// Of that, each step of the apply.
    pub steps: BTreeMap<Step, Samples>,
    pub floor: Samples,
}

/// As many changes for each of the two; the last backend comes and goes.
pub async fn measure(engine: EngineKind, backends: u16, changes: u64) -> Result<Times> {
    let folder = tempfile::Builder::new().prefix("tg-bench-").tempdir()?;
    let agent = Agent::start(engine, folder.path()).await?;
    let whole: Vec<SocketAddr> = (0..backends).map(|n| SocketAddr::new(address(n), 80)).collect();
    let floor = Floor::start(engine, &agent.host, folder.path(), whole).await?;
    let mut times = Times::default();
    // The first one starts the engine.
    agent.send(&agent.hook(1, backends, Probe::none())?).await?;
    for change in 0..changes {
        let present = change % 2 == 1;
        tokio::time::sleep(IDLE).await;
        let begun = Instant::now();
        floor.change(present).await?;
        times.floor.add(begun.elapsed());
        // These backends do not exist. The controller's work is none of this.
        let hook = agent.hook(change + 2, backends - u16::from(!present), Probe::none())?;
        let begun = Instant::now();
        let report = agent.send(&hook).await?;
        times.answered.add(begun.elapsed());
        for timing in &report.timings {
            times.steps.entry(timing.step).or_default().add(Duration::from_micros(timing.micros));
        }
        let engine = report.timings.iter().filter(|timing| matches!(timing.step, Step::Reload | Step::Verify));
        times.engine.add(Duration::from_micros(engine.map(|timing| timing.micros).sum()));
    }
    Ok(times)
}
