//! Runs test binaries side by side: most of their time they wait for servers, which cargo, that runs
//! one after the other, cannot use.

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::binaries::Binary;
use crate::phases::{print, say};

/// What one binary said.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    passed: u32,
    failed: u32,
    ignored: u32,
}

#[derive(Debug, Default)]
struct Report {
    total: Outcome,
    broken: Vec<String>,
    first_error: Option<anyhow::Error>,
}

/// Load generators, which beside another test would measure a busy machine; and what keeps every core busy itself.
const ALONE: &[&str] = &[
    "tidegate-testbed::planned_changes",
    "tidegate-testbed::rolling_restart",
    "tidegate-testbed::disturbed_engines",
    "tidegate-testbed::burst",
    "tidegate-simulation::seeds",
    FUZZ,
];

/// What fuzzes for two seconds when plain cargo runs it, and for longer here.
const FUZZ: &str = "tidegate-testbed::fuzz";
const FUZZ_SECONDS: (&str, &str) = ("FUZZ_SECONDS", "60");

/// Runs all, also after a failure, and fails when any has failed.
pub(super) fn run(binaries: Vec<Binary>, jobs: usize) -> Result<()> {
    let started = Instant::now();
    let report = Mutex::new(Report::default());
    let (alone, together): (Vec<_>, Vec<_>) = binaries.into_iter().partition(|b| ALONE.contains(&b.name.as_str()));
    run_with(together, jobs.max(1), &report);
    run_with(alone, 1, &report);
    let report = report.into_inner().map_err(|_| anyhow!("a test runner thread died"))?;
    let content = report.first_error.is_none() && report.broken.is_empty();
    print(&report.total.sentence(content, started.elapsed()));
    if let Some(error) = report.first_error {
        return Err(error);
    }
    ensure!(report.broken.is_empty(), "failed: {}", report.broken.join(", "));
    Ok(())
}

fn run_with(binaries: Vec<Binary>, jobs: usize, report: &Mutex<Report>) {
    let queue = Mutex::new(binaries.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(&queue, report));
        }
    });
}

fn work(queue: &Mutex<std::vec::IntoIter<Binary>>, report: &Mutex<Report>) {
    loop {
        let Some(binary) = queue.lock().ok().and_then(|mut queue| queue.next()) else {
            return;
        };
        let result = run_one(&binary);
        let Ok(mut report) = report.lock() else {
            return;
        };
        match result {
            Ok((outcome, true)) => report.total = report.total.plus(outcome),
            Ok((outcome, false)) => {
                report.total = report.total.plus(outcome);
                report.broken.push(binary.name);
            }
            Err(error) => report.first_error = report.first_error.take().or(Some(error)),
        }
    }
}

/// The outcome, and whether the binary was content.
fn run_one(binary: &Binary) -> Result<(Outcome, bool)> {
    let started = Instant::now();
    let mut command = Command::new(&binary.path);
    command.current_dir(&binary.folder).env("CARGO_MANIFEST_DIR", &binary.folder);
    let (seconds, default) = FUZZ_SECONDS;
    if binary.name == FUZZ && std::env::var_os(seconds).is_none() {
        command.env(seconds, default);
    }
    let output = command.output().with_context(|| format!("starting {}", binary.path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (outcome, passed) = (Outcome::parse(&text), output.status.success());
    // A unit test binary without tests is not worth a line.
    if passed && outcome != Outcome::default() {
        say(&line(&binary.name, outcome, started.elapsed()));
    }
    if !passed {
        say(&format!("---- {} failed ({})\n{text}", binary.name, output.status));
        say(&String::from_utf8_lossy(&output.stderr));
    }
    Ok((outcome, passed))
}

fn line(name: &str, outcome: Outcome, took: Duration) -> String {
    let ignored = if outcome.ignored > 0 { format!(", {} ignored", outcome.ignored) } else { String::new() };
    format!("{:>6.1} s  {name}: {} passed{ignored}", took.as_secs_f64(), outcome.passed)
}

impl Outcome {
    /// From `test result: ok. 3 passed; 0 failed; 1 ignored; ...`, the last such line.
    fn parse(text: &str) -> Self {
        let last = text.lines().rfind(|line| line.starts_with("test result: ")).unwrap_or_default();
        let number = |what: &str| {
            let words: Vec<&str> = last.split([' ', ';']).filter(|word| !word.is_empty()).collect();
            let pair = words.windows(2).find(|pair| pair.last() == Some(&what));
            pair.and_then(|pair| pair.first()?.parse().ok()).unwrap_or_default()
        };
        Self { passed: number("passed"), failed: number("failed"), ignored: number("ignored") }
    }

    /// The sum in cargo's own words, for people and programs that know them.
    fn sentence(self, content: bool, took: Duration) -> String {
        let Self { passed, failed, ignored } = self;
        let word = if content { "ok" } else { "FAILED" };
        let seconds = took.as_secs_f64();
        format!(
            "test result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out; finished in {seconds:.2}s"
        )
    }

    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_line_counts() {
        let text = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                    test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1s\n";
        assert_eq!(Outcome::parse(text), Outcome { passed: 3, failed: 2, ignored: 1 });
        assert_eq!(Outcome::parse("no tests"), Outcome::default());
        let total = Outcome { passed: 7, failed: 0, ignored: 2 };
        assert_eq!(Outcome::parse(&total.sentence(true, Duration::ZERO)), total);
    }
}
