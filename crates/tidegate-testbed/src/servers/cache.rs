//! The cache outside the checkout: one folder per key, filled by one process at a time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;

/// `${XDG_CACHE_HOME:-~/.cache}/tidegate/servers`, created when missing.
pub(super) fn root() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache")
        }
    };
    let root = base.join("tidegate").join("servers");
    fs::create_dir_all(&root)?;
    Ok(root)
}

/// Fills the folder `key` by `build` unless it exists, and returns it.
///
/// `build` gets a temporary folder that is renamed at the end, so a folder with a key is always
/// complete. The lock makes parallel test binaries wait for the first one instead of building twice.
pub(super) fn ensure(key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    ensure_in(&root()?, key, build)
}

fn ensure_in(root: &Path, key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let done = root.join(key);
    if done.is_dir() {
        return Ok(done);
    }
    let _lock = lock_in(root, key)?;
    if done.is_dir() {
        return Ok(done);
    }
    let partial = root.join(format!("{key}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir(&partial)?;
    build(&partial)?;
    fs::rename(&partial, &done)?;
    Ok(done)
}

/// Waits for the advisory lock `name`; it is released when the file is dropped.
pub(super) fn lock(name: &str) -> Result<std::fs::File> {
    lock_in(&root()?, name)
}

fn lock_in(root: &Path, name: &str) -> Result<std::fs::File> {
    let path = root.join(format!("{name}.lock"));
    let file = std::fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if file.try_lock().is_err() {
        super::progress(&format!("waiting for another process that prepares {name}"));
    }
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn many_at_once_build_once_and_a_failed_build_leaves_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let failed = ensure_in(root.path(), "key", |_| anyhow::bail!("no compiler"));
        assert!(failed.is_err() && !root.path().join("key").exists());

        let builds = AtomicU32::new(0);
        let build = |out: &Path| {
            builds.fetch_add(1, Ordering::SeqCst);
            Ok(fs::write(out.join("binary"), "x")?)
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let folder = ensure_in(root.path(), "key", build).unwrap();
                    assert!(folder.join("binary").is_file());
                });
            }
        });
        assert_eq!(builds.into_inner(), 1);
    }
}
