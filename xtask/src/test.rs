//! `cargo xtask test`: everything that decides whether a change is good.

mod binaries;
mod runner;

use anyhow::{Context, Result, ensure};

use crate::phases::{Phases, cargo, run_cargo};
use crate::{build, check, servers};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Test binaries that run at once [default: one per core]
    #[arg(long)]
    jobs: Option<usize>,
    /// Only the tests of this crate; may be repeated
    #[arg(short, long = "package")]
    packages: Vec<String>,
    /// Only the tests: no servers, no check, no build of the binary
    #[arg(long)]
    only: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut phases = Phases::default();
    let result = run_phases(&mut phases, options);
    phases.summarize();
    result
}

fn run_phases(phases: &mut Phases, options: &Options) -> Result<()> {
    if !options.only {
        phases.run("servers", servers::run)?;
        phases.run("check", check::run)?;
        // Tests of a site start the binary from target/debug.
        phases.run("build", build::tidegate)?;
    }
    let mut found = Vec::new();
    phases.run("build tests", || {
        found = binaries::build(&options.packages)?;
        Ok(())
    })?;
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if options.packages.is_empty() {
        phases.run("doc tests", doc_tests)?;
    }
    phases.run("tests", || runner::run(found, options.jobs.unwrap_or_else(cores)))?;
    if options.packages.is_empty() || options.packages.iter().any(|package| package == "tidegate-simulation") {
        phases.run("planted bugs", planted_bugs)?;
    }
    Ok(())
}

/// Built apart: no other test, and no binary, has the bugs in it.
fn planted_bugs() -> Result<()> {
    run_cargo(&["test", "--quiet", "-p", "tidegate-simulation", "--features", "mutants", "--test", "mutants"])
}

/// Says something only when one fails: a result line for each crate without any would hide the one that counts.
fn doc_tests() -> Result<()> {
    let output = cargo(&["test", "--quiet", "--workspace", "--doc"]).output().context("starting cargo")?;
    let text = || [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat();
    ensure!(output.status.success(), "doc tests failed:\n{}", text());
    Ok(())
}
