//! A child process for the targets, and a note of what each reads: some ends of a process cannot be caught in it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use fs_err as fs;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Finding, What};
use crate::run;

const CHILD: &str = "TIDEGATE_FUZZ_CHILD";
/// Address space: stacks and arenas of all threads take a tenth of it.
const MEMORY: u64 = 4 * 1024 * 1024 * 1024;
/// The length of an input stands before it; this is the one of none.
const NONE: u64 = u64::MAX;

/// What a target reads just now, on disk.
pub(super) struct BlackBox(File);

impl BlackBox {
    /// Of this target; nothing outside of a child.
    pub(super) fn of(name: &str) -> Option<Self> {
        let dir = PathBuf::from(std::env::var_os(CHILD)?);
        File::create(dir.join(name)).ok().map(Self)
    }

    pub(super) fn note(&self, input: &[u8]) {
        let length = u64::try_from(input.len()).unwrap_or(NONE);
        let bytes = [&length.to_le_bytes(), input].concat();
        // Without it a finding lacks its input, which is seen at once.
        _ = self.0.write_all_at(&bytes, 0);
    }

    pub(super) fn close(&self) {
        _ = self.0.write_all_at(&NONE.to_le_bytes(), 0);
    }
}

/// Whether this process is the child of [`guarded`], whose memory is limited from now on.
pub fn is_child() -> bool {
    let child = std::env::var_os(CHILD).is_some();
    if child {
        let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
        _ = setrlimit(Resource::As, limit);
    }
    child
}

/// Runs a test of this test binary in a child process; answers what it printed.
///
/// The error is the child's own finding, or what it read when it ended without one.
pub fn guarded(test: &str, seed: u64) -> Result<String> {
    let scratch = run::current()?.scratch("fuzz")?;
    let mut child = Command::new(std::env::current_exe().context("finding this program")?);
    // The last lines have to say what ended it, not where.
    child.args(["--exact", test, "--nocapture"]).env(CHILD, scratch.path()).env("RUST_BACKTRACE", "0");
    let output = child.output().context("starting the child")?;
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat();
    let Some(signal) = output.status.signal() else {
        ensure!(output.status.success(), "{said}");
        return Ok(said);
    };
    let ends = said.lines().rev().take(3).collect::<Vec<_>>().join("; ");
    let how = format!("signal {signal}: {ends}");
    let suspects: Vec<String> = suspects(scratch.path(), seed, &how)?.iter().map(ToString::to_string).collect();
    Err(anyhow!("one of these ended the process:\n{}", suspects.join("\n")))
}

fn suspects(dir: &Path, seed: u64, how: &str) -> Result<Vec<Finding>> {
    let mut suspects = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let Some((length, rest)) = bytes.split_first_chunk() else { continue };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some(input) = rest.get(..length).map(<[u8]>::to_vec) else { continue };
        let target = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        suspects.push(Finding { target, seed, execution: 0, what: What::Killed(how.to_owned()), input });
    }
    Ok(suspects)
}
