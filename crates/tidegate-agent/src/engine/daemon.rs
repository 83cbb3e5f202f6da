//! Starting a program that outlives this agent.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fs_err::OpenOptions;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio::process::Command;

use super::failure;

/// `setsid --fork` only forks.
const LIMIT: Duration = Duration::from_secs(10);

/// Starts a program in a session of its own, with both outputs at the end of `log`. Whether it stays is seen by whoever
/// asks it.
///
/// By `setsid` of util-linux, which every distribution has: it forks, so the program is nobody's child who would have to
/// reap it, and no signal of a terminal reaches it.
pub async fn start(program: &Path, arguments: &[OsString], log: &Path) -> Result<(), Failure> {
    let cure = "look at the permissions of agent.stateDir and at free disk space (df -h)";
    let unopened = |e: std::io::Error| failure::transient(Step::Reload, e.to_string(), cure);
    let out = OpenOptions::new().create(true).append(true).open(log).map_err(unopened)?.into_parts().0;
    let err = out.try_clone().map_err(unopened)?;
    let mut setsid = Command::new("setsid");
    setsid.arg("--fork").arg(program).args(arguments).current_dir("/");
    // Programs take listening sockets and options from the environment: ours is not theirs.
    setsid.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    setsid.stdin(Stdio::null()).stdout(Stdio::from(out)).stderr(Stdio::from(err));
    let failed = |why: String| {
        let message = format!("starting {}: {why}", program.display());
        failure::transient(Step::Reload, message, format!("run it by hand; its words are in {}", log.display()))
    };
    match tokio::time::timeout(LIMIT, setsid.status()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("setsid ended with {status}"))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("setsid did not end".to_owned())),
    }
}

/// The last lines that a program wrote to its log after `from` (bytes), for an error.
pub fn words_since(log: &Path, from: u64) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let tail = lines.len().saturating_sub(6);
    lines.get(tail..).unwrap_or_default().join("; ")
}

/// How long a log is, bytes.
pub fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |m| m.len())
}
