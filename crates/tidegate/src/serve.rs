//! The roles that run for long: `run`, `controller`, `agent`. Wiring only.

pub mod kubernetes;
pub mod settings;

mod assembly;
mod crash;
mod local;
mod shutdown;
mod telemetry;

use std::path::Path;

use crate::cli::{ControllerArgs, RunArgs};
use crate::config::load::{Loaded, load_agent, load_controller, load_run};
use crate::config::problem::Problem;
use crate::exit::{CommandError, Exit};

/// `tidegate run`
pub fn run(args: &RunArgs) -> Result<Exit, CommandError> {
    let Loaded { config, warnings } = load_run(&args.config)?;
    begin(&args.log, "run", &args.config, &warnings)?;
    block_on(assembly::run(config, args.take_over))
}

/// `tidegate controller`
pub fn controller(args: &ControllerArgs) -> Result<Exit, CommandError> {
    let Loaded { config, warnings } = load_controller(&args.config)?;
    begin(&args.log, "controller", &args.config, &warnings)?;
    block_on(assembly::controller(config))
}

/// `tidegate agent`
pub fn agent(args: &RunArgs) -> Result<Exit, CommandError> {
    let Loaded { config, warnings } = load_agent(&args.config)?;
    begin(&args.log, "agent", &args.config, &warnings)?;
    block_on(assembly::agent(config, args.take_over))
}

fn begin(log: &crate::cli::LogArgs, role: &str, config: &Path, warnings: &[Problem]) -> Result<(), CommandError> {
    telemetry::begin(log).map_err(CommandError::Serve)?;
    crate::tls::install_provider();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %config.display(), "tidegate {role} starts");
    for warning in warnings {
        tracing::warn!("{}:{warning}", config.display());
    }
    Ok(())
}

/// One thread for everything that waits, and few for what blocks: SQLite, one at a time, and file writes.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> Result<Exit, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build()?;
    let ended = runtime.block_on(work);
    // A blocking call that hangs (a dead disk) must not keep the process from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended.map(|()| Exit::Fine).map_err(CommandError::Serve)
}
