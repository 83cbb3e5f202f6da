//! `cargo xtask check`: formatting, lints, and tidy rules.

mod arrows;
mod files;

use anyhow::{Result, bail};

use crate::phases::{Phases, run_cargo, say};

pub(crate) fn run() -> Result<()> {
    let mut phases = Phases::default();
    let result = run_phases(&mut phases);
    phases.summarize();
    result
}

fn run_phases(phases: &mut Phases) -> Result<()> {
    // The quick ones first.
    phases.run("tidy", tidy)?;
    phases.run("fmt", || run_cargo(&["fmt", "--all", "--check"]))?;
    phases.run("clippy", || run_cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Reports every problem, not only the first.
fn tidy() -> Result<()> {
    let mut problems = arrows::problems()?;
    problems.extend(files::problems()?);
    for problem in &problems {
        say(&format!("tidy: {problem}"));
    }
    if problems.is_empty() { Ok(()) } else { bail!("{} tidy problems", problems.len()) }
}
