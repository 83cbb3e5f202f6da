//! Log lines on standard error.

use std::io::IsTerminal as _;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::cli::{LogArgs, LogFormat};
use crate::output::Style;

/// Begins to write log lines, once for the process.
pub fn begin(args: &LogArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| anyhow!("--log {:?}: {error}; cure: write error, warn, info, debug or trace", args.log))?;
    let terminal = std::io::stderr().is_terminal();
    let builder = SubscriberBuilder::default()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(Style::detect(terminal) == Style::COLOUR);
    let begun = match args.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    begun.map_err(|error| anyhow!("log lines cannot be written: {error}"))
}
