//! What the figures were measured on.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use fs_err as fs;
use tidegate_testbed::servers;

/// Processes that want to run, as `uptime` shows: averages over 1 minute.
pub fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// Lines for the head of docs/benchmarks.md.
pub fn describe() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let envoy = servers::ensure_envoy()?;
    let versions = [
        first_line(Path::new("nginx"), "-v"),
        first_line(Path::new("haproxy"), "-v"),
        first_line(&envoy, "--version").map(|line| envoy_version(&line)),
        first_line(Path::new("nft"), "--version"),
    ];
    let versions: Vec<String> = versions.into_iter().collect::<Result<_>>()?;
    Ok(format!(
        "{cores} cores ({}), Linux {}; {}.",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim(),
        versions.join("; ")
    ))
}

fn first_line(program: &Path, flag: &str) -> Result<String> {
    let output = Command::new(program).arg(flag).output()?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(text.lines().find(|line| !line.is_empty()).unwrap_or("unknown version").trim().to_owned())
}

/// `.../envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
fn envoy_version(line: &str) -> String {
    format!("Envoy {}", line.split('/').rev().nth(3).unwrap_or(line))
}
