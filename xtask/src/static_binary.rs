//! `cargo xtask static`: the binary of the image, built as the Dockerfile builds it, and tried in an empty root.
//!
//! What can go wrong with a static glibc is the resolution of names: it loads NSS modules at run time, which an empty
//! image does not have. `/etc/hosts` and DNS are built in since glibc 2.34, and here is the proof.

mod dns;
mod empty_root;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::phases::{cargo, print, root, say};

/// `cargo xtask static`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Check this binary instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let binary = options.binary.clone().map_or_else(build, Ok)?;
    ensure_static(&binary)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(empty_root::check(&binary))?;
    print(&format!("{} is static, and resolves names by file and by DNS in an empty root", binary.display()));
    Ok(())
}

/// In a folder of its own: with other flags, every dependency is another one.
fn build() -> Result<PathBuf> {
    say("building the static binary: about 5 min, once");
    let target = Command::new("rustc").args(["--print", "host-tuple"]).current_dir(root()).output();
    let target = String::from_utf8(target.context("starting rustc")?.stdout)?.trim().to_owned();
    let folder = root().join("target").join("static");
    let args = ["build", "--release", "--locked", "-p", "tidegate", "--target", &target];
    let status = cargo(&args)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", &folder)
        .status()
        .context("starting cargo")?;
    ensure!(status.success(), "`cargo {}` failed ({status})", args.join(" "));
    Ok(folder.join(target).join("release").join("tidegate"))
}

/// Asks for no interpreter and no library.
fn ensure_static(binary: &Path) -> Result<()> {
    let output = Command::new("readelf").args(["--wide", "--program-headers", "--dynamic"]).arg(binary).output();
    let output = output.context("starting readelf, of the package binutils")?;
    ensure!(output.status.success(), "readelf {}: {}", binary.display(), String::from_utf8_lossy(&output.stderr));
    let headers = String::from_utf8_lossy(&output.stdout);
    let wants = wants(&headers);
    ensure!(wants.is_empty(), "{} is not static: {}", binary.display(), wants.join(", "));
    Ok(())
}

/// The lines of readelf that name something outside the file.
fn wants(readelf: &str) -> Vec<&str> {
    readelf.lines().map(str::trim).filter(|line| line.starts_with("INTERP") || line.contains("(NEEDED)")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_is_dynamic_and_found_out() {
        let ourselves = std::env::current_exe().unwrap();
        let error = ensure_static(&ourselves).unwrap_err().to_string();
        assert!(error.contains("INTERP") && error.contains("(NEEDED)") && error.contains("libc.so.6"), "{error}");
    }
}
