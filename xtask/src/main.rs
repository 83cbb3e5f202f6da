//! Developer commands: `cargo xtask <command>`. CI calls the same ones.

mod check;
mod phases;
mod servers;
mod test;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Tidegate")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install and build the servers that tests run for real (minutes the first time)
    Servers,
    /// Formatting, lints, and the rules that no compiler checks
    Check,
    /// Everything: servers, check, build, all tests; needs root for the network namespaces
    Test(test::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Servers => servers::run(),
        Command::Check => check::run(),
        Command::Test(options) => test::run(&options),
    }
}
