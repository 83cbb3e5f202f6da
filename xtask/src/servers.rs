//! `cargo xtask servers`: prepares what tests would otherwise build when they first need it.

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    tidegate_testbed::servers::ensure_all()
}
