//! The binary that the demo and the benches run.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::phases::run_cargo;

/// Builds the debug binary, which is where tests and the demo look for it. Together with this very program, so that
/// both share one build of every dependency.
pub(crate) fn tidegate() -> Result<()> {
    run_cargo(&["build", "-p", "tidegate", "-p", "xtask"])
}

/// Builds the optimised binary, which is what a user runs and a bench measures.
pub(crate) fn tidegate_release() -> Result<()> {
    run_cargo(&["build", "--release", "-p", "tidegate"])
}

/// Where [`tidegate_release`] puts it.
pub(crate) fn release_binary() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout.join("target"), PathBuf::from);
    target.join("release").join("tidegate")
}
