//! The `tidegate` binary.

use std::process::ExitCode;

use clap::Parser as _;
use tidegate::cli::Cli;
use tidegate::command::execute;
use tidegate::output::Style;

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.report(Style::of_stderr());
            error.exit().into()
        }
    }
}
