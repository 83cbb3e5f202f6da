//! The binary under test, running on a machine of the site.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use fs_err as fs;

use crate::process::{Process, Spec};

/// A running `tidegate`. Dropping it kills it, and the engine if that is in its process group.
#[derive(Debug)]
pub struct Tidegate {
    process: Process,
    config: PathBuf,
}

impl Tidegate {
    pub(super) fn start(spec: Spec, config: PathBuf) -> Result<Self> {
        Ok(Self { process: Process::spawn(spec)?, config })
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn config(&self) -> &Path {
        &self.config
    }

    pub fn log(&self) -> &Path {
        self.process.log()
    }

    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }

    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// A crash: only `tidegate` itself dies, an engine that it started lives on.
    pub fn kill9(&self) -> Result<ExitStatus> {
        self.process.kill9()
    }

    /// SIGTERM, then waits for the end.
    pub async fn terminate(&self, limit: Duration) -> Result<ExitStatus> {
        self.process.terminate(limit).await
    }

    /// Starts it again with the config as it is on disk now.
    pub fn restart(&self) -> Result<()> {
        self.process.restart()
    }

    /// Writes a new config for the next [`Tidegate::restart`].
    pub fn reconfigure(&self, config_yaml: &str) -> Result<()> {
        Ok(fs::write(&self.config, config_yaml)?)
    }
}

/// `$TIDEGATE_BIN`, else the debug build of this checkout.
pub(super) fn default_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEGATE_BIN") {
        return path.into();
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout.join("target"), PathBuf::from);
    target.join("debug").join("tidegate")
}
