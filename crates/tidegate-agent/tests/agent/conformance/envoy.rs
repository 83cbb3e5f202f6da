//! Envoy.

use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate_agent::{EngineSettings, EnvoySettings};

use super::interposed::{Fault, Impostor};
use super::nginx::checked;
use super::site::Subject;
use crate::rig::{command_line, kill};
use crate::traffic::until;

pub struct Envoy;

impl Subject for Envoy {
    const LANES: u64 = 4;

    fn settings(dir: &Path) -> EngineSettings {
        EngineSettings::Envoy(EnvoySettings { binary: binary(), ..EnvoySettings::new(dir.join("conf/envoy.json")) })
    }

    fn check(file: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(file).unwrap();
        check_text(&text)
    }

    fn kill(dir: &Path) {
        processes(dir).into_iter().for_each(kill);
        until("envoy is gone", || processes(dir).is_empty());
    }

    fn processes(dir: &Path) -> Vec<i32> {
        processes(dir)
    }

    fn impersonate(dir: &Path) -> Fault {
        Box::new(Impostor::at(dir.join("state/envoy/admin.sock")))
    }

    /// Another file at the place that Envoy watches.
    fn tamper(dir: &Path) -> bool {
        let clusters = std::fs::read_dir(dir.join("state/envoy/eds")).unwrap();
        for cluster in clusters.flatten() {
            let name = cluster.file_name().into_string().unwrap();
            let text = format!(
                r#"{{"version_info":"foreign","resources":[{{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","cluster_name":"{name}"}}]}}"#
            );
            std::fs::write(cluster.path().join("new"), text).unwrap();
            std::fs::rename(cluster.path().join("new"), cluster.path().join("endpoints.json")).unwrap();
        }
        true
    }
}

/// Where `cargo xtask servers` puts it, unless it is in PATH.
pub fn binary() -> PathBuf {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&in_path).map(|folder| folder.join("envoy")).find(|file| file.is_file());
    in_path.or_else(cached).expect("no envoy: run `cargo xtask servers`, or put one in PATH")
}

fn cached() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let folders = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = folders(base.join("tidegate/servers"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("envoy-")));
    let libraries = ours.flat_map(|path| folders(path.join("lib")));
    libraries.map(|library| library.join("site-packages/envoy/_bin/envoy")).find(|file| file.is_file())
}

/// What Envoy's own checker says of a text with our header.
pub fn check_text(text: &str) -> Result<(), String> {
    let body: Vec<&str> = text.lines().skip_while(|line| line.is_empty() || line.starts_with('#')).collect();
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), body.join("\n")).unwrap();
    checked(
        Command::new(binary())
            .args(["--mode", "validate", "--disable-hot-restart", "-l", "error", "-c"])
            .arg(file.path()),
    )
}

/// The Envoys of a directory.
pub fn processes(dir: &Path) -> Vec<i32> {
    let ours = format!("{}/state/envoy/bootstrap-", dir.display());
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| command_line(*pid).contains(&ours)).collect()
}
