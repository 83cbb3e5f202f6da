//! Developer commands: `cargo xtask <command>`. CI calls the same ones.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands for a terminal")]

mod bench;
mod build;
mod check;
mod demo;
mod phases;
mod servers;
mod simulate;
mod static_binary;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Tidegate")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The main job on real parts, told live: nodes come, go and fail while a client keeps requesting
    Demo(demo::Demo),
    /// Install and build the servers that tests run for real (minutes the first time)
    Servers,
    /// Formatting, lints, and the rules that no compiler checks
    Check,
    /// Everything: servers, check, build, all tests; needs root for the network namespaces
    Test(test::Options),
    /// The static binary of the image: build it, and try it in an empty root (minutes; needs root)
    Static(static_binary::Options),
    /// Three controllers in virtual time: many seeds, one seed in full, or the hunt for planted bugs
    Simulate(simulate::Options),
    /// Figures beside a baseline of the same run
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Bench(bench) => bench.run(),
        Command::Servers => servers::run(),
        Command::Simulate(options) => simulate::run(&options),
        Command::Check => check::run(),
        Command::Static(options) => static_binary::run(&options),
        Command::Test(options) => test::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by `?`: with RUST_BACKTRACE set, the trace would bury the reason.
            phases::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
