//! `cargo xtask simulate`: the simulation is a binary of its own, because of the bugs planted in it.

use std::ffi::OsString;

use anyhow::{Context, Result, ensure};

use crate::phases::cargo;

/// What is there is told by the simulation itself.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// For the simulation: try `cargo xtask simulate --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command =
        cargo(&["run", "--quiet", "-p", "tidegate-simulation", "--features", "mutants", "--bin", "simulate", "--"]);
    let status = command.args(&options.args).status().context("starting cargo")?;
    ensure!(status.success(), "the simulation was not content ({status})");
    Ok(())
}
