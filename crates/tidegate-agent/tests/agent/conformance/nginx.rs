//! nginx with its stream module.

use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidegate_agent::{EngineSettings, NginxSettings};

use super::interposed::{Fault, Impostor};
use super::site::Subject;
use crate::rig::{command_line, kill};
use crate::traffic::until;

pub struct Nginx;

impl Subject for Nginx {
    // 0.11 s for each reload, in which it waits: old and new workers both accept for 0.1 s.
    const LANES: u64 = 8;

    fn settings(dir: &Path) -> EngineSettings {
        let nginx = NginxSettings::new(dir.join("conf/nginx.conf"));
        EngineSettings::Nginx(NginxSettings {
            min_reload_interval: Duration::ZERO,
            workers: NonZeroU16::new(2),
            ..nginx
        })
    }

    fn check(file: &Path) -> Result<(), String> {
        checked(Command::new("nginx").args(["-t", "-q", "-e", "stderr", "-c"]).arg(file))
    }

    fn kill(dir: &Path) {
        // The master first: it would replace a killed worker.
        let log = dir.join("state/nginx-error.log");
        let master =
            std::fs::read_to_string(dir.join("state/nginx.pid")).ok().and_then(|text| text.trim().parse().ok());
        let ours = |pid: &i32| command_line(*pid).contains(dir.to_str().unwrap());
        master.into_iter().filter(ours).for_each(kill);
        holders_of(&log, "nginx: ").into_iter().for_each(kill);
        until("nginx is gone", || holders_of(&log, "nginx: ").is_empty());
    }

    fn processes(dir: &Path) -> Vec<i32> {
        holders_of(&dir.join("state/nginx-error.log"), "nginx: ")
    }

    fn impersonate(dir: &Path) -> Fault {
        Box::new(Impostor::at(dir.join("state/nginx-marker.sock")))
    }

    /// A worker serves what it was started with.
    fn tamper(_: &Path) -> bool {
        false
    }
}

/// Processes of this name that hold a file open.
pub fn holders_of(file: &Path, name: &str) -> Vec<i32> {
    let holds = |pid: &i32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        command_line(*pid).starts_with(name)
            && files.into_iter().any(|f| std::fs::read_link(f.path()).is_ok_and(|to| to == file))
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(holds).collect()
}

/// What a checker says: nothing, or its output.
pub fn checked(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { Ok(()) } else { Err(text) }
}
