//! Steps with a name, and how long each of them took.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Runs phases in order and remembers their times.
#[derive(Default)]
pub(crate) struct Phases {
    done: Vec<(String, Duration, bool)>,
}

impl Phases {
    pub(crate) fn run(&mut self, name: &str, phase: impl FnOnce() -> Result<()>) -> Result<()> {
        say(&format!("== {name}"));
        let started = Instant::now();
        let result = phase();
        self.done.push((name.to_owned(), started.elapsed(), result.is_ok()));
        result.with_context(|| format!("phase {name}"))
    }

    /// One line per phase that was begun, and their sum.
    pub(crate) fn summarize(&self) {
        say("");
        for (name, took, passed) in &self.done {
            let verdict = if *passed { "ok" } else { "FAILED" };
            say(&format!("{name:<12} {:>7.1} s  {verdict}", took.as_secs_f64()));
        }
        let total: Duration = self.done.iter().map(|(_, took, _)| *took).sum();
        say(&format!("{:<12} {:>7.1} s", "total", total.as_secs_f64()));
    }
}

/// A line on stderr, where cargo writes its progress too.
pub(crate) fn say(line: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A result, on stdout.
pub(crate) fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The cargo that runs us, in the root of the checkout.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    // `cargo run` tells us about ourselves; build scripts (of ring, say) would take it for news and build again.
    let about_us = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    for name in about_us {
        command.env_remove(name);
    }
    command
}

pub(crate) fn run_cargo(args: &[&str]) -> Result<()> {
    let status = cargo(args).status().context("starting cargo")?;
    ensure!(status.success(), "`cargo {}` failed ({status})", args.join(" "));
    Ok(())
}

/// What cargo prints on stdout; its stderr stays visible.
pub(crate) fn read_cargo(args: &[&str]) -> Result<String> {
    let output = cargo(args).stderr(std::process::Stdio::inherit()).output().context("starting cargo")?;
    ensure!(output.status.success(), "`cargo {}` failed ({})", args.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}
