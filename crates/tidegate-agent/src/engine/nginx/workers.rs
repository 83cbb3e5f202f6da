//! How many workers: a number that stays the same, because changing it resets connections.

use std::num::NonZeroU16;
use std::path::Path;

/// The configured number, else the one of the first start, else one for each CPU.
pub fn number(configured: Option<NonZeroU16>, state_dir: &Path) -> u16 {
    configured.or_else(|| remembered(state_dir)).map_or_else(cpus, NonZeroU16::get)
}

/// Keeps a number for later starts: a CPU quota may have changed by then.
pub fn remember(number: u16, state_dir: &Path) {
    if remembered(state_dir).is_none()
        && let Err(error) = fs_err::write(file(state_dir), format!("{number}\n"))
    {
        tracing::warn!(%error, "the number of nginx workers may change at the next start");
    }
}

fn remembered(state_dir: &Path) -> Option<NonZeroU16> {
    std::fs::read_to_string(file(state_dir)).ok()?.trim().parse().ok()
}

fn file(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join("nginx-workers")
}

fn cpus() -> u16 {
    std::thread::available_parallelism().ok().and_then(|n| u16::try_from(n.get()).ok()).unwrap_or(1)
}
