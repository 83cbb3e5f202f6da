//! Debian packages, installed only when something of theirs is missing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;

use super::{cache, progress};

/// Package and a file that it brings: looking for the file is quick and needs no dpkg.
const PACKAGES: &[(&str, &str)] = &[
    ("nginx", "/usr/sbin/nginx"),
    ("libnginx-mod-stream", "/usr/lib/nginx/modules/ngx_stream_module.so"),
    ("haproxy", "/usr/sbin/haproxy"),
    ("socat", "/usr/bin/socat"),
    ("nftables", "/usr/sbin/nft"),
    ("conntrack", "/usr/sbin/conntrack"),
    ("iproute2", "/usr/bin/ss"),
    ("procps", "/usr/bin/ps"),
    ("etcd-server", "/usr/bin/etcd"),
    ("sqlite3", "/usr/bin/sqlite3"),
];

/// apt asks this file whether it may start a daemon; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

pub(super) fn ensure() -> Result<()> {
    if missing().is_empty() {
        return Ok(());
    }
    let _lock = cache::lock("apt")?;
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("not installed: {list}. Run as root: apt-get update && apt-get install -y {list}");
    }
    progress(&format!("installing {list}: about 30 s"));
    let _no_daemons = NoDaemons::begin()?;
    apt_get(&["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    apt_get(&install)?;
    let still = missing();
    ensure!(still.is_empty(), "apt-get succeeded, but these are still missing: {}", still.join(" "));
    Ok(())
}

fn missing() -> Vec<&'static str> {
    PACKAGES.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect()
}

fn apt_get(args: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .context("starting apt-get: the lab needs Debian or Ubuntu")?;
    ensure!(
        output.status.success(),
        "apt-get {} failed ({}):\n{}{}",
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Keeps apt from starting nginx on :80 and etcd on :2379 on the developer's machine.
struct NoDaemons {
    ours: bool,
}

impl NoDaemons {
    fn begin() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
