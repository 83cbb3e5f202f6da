//! An engine of the user's own: here HAProxy, driven by four commands of a page of script.
//!
//! The scripts are what a user would write; no shell is started by Tidegate.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate_agent::{CustomSettings, EngineSettings};

use super::interposed::{Fault, Impostor};
use super::nginx::checked;
use super::site::Subject;
use crate::rig::{command_line, kill};
use crate::traffic::until;

pub struct Custom;

const TEMPLATE: &str = r"global
    master-worker
    stats socket SOCKET level admin
    description {{ generation }}
defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    option redispatch
    retries 3
{% for listener in listeners %}
listen {{ listener.name }}
    bind {{ listener.bind }}
{% for backend in listener.backends %}
    server {{ backend.id }} {{ backend.address }}
{% endfor %}
{% endfor %}
";

/// HAProxy's own check binds nothing; a reload that cannot bind makes the old process let go of its ports for a while.
const CHECK: &str = r#"#!/bin/sh
haproxy -c -f "$2" || exit 1
for bind in $(sed -n 's/^ *bind //p' "$2"); do
    grep -q "bind $bind$" "$1/conf/haproxy.cfg" 2>/dev/null && continue
    if ss -Hltn "src $bind" | grep -q .; then
        echo "$bind is in use"
        exit 1
    fi
done
"#;

/// Starts or reloads; one that cannot take the new configuration over says so.
const RELOAD: &str = r#"#!/bin/sh
pid=$(cat "$1/haproxy.pid" 2>/dev/null)
if [ -n "$pid" ] && grep -q "$1" "/proc/$pid/cmdline" 2>/dev/null; then
    kill -USR2 "$pid"
else
    setsid haproxy -W -D -f "$2" -p "$1/haproxy.pid"
fi
"#;

/// Asks until the generation answers, for at most 1 s.
const VERIFY: &str = r#"#!/bin/sh
for i in $(seq 20); do
    said=$(echo "show info" | timeout 1 socat - "UNIX-CONNECT:$1/haproxy.sock" 2>/dev/null | sed -n 's/^description: //p')
    [ "$said" = "$2" ] && exit 0
    sleep 0.05
done
echo "haproxy serves '$said'"
exit 1
"#;

const STOP: &str = r#"#!/bin/sh
kill "$(cat "$1/haproxy.pid")"
"#;

impl Subject for Custom {
    // Each step starts ten processes and a HAProxy: the other 1,000 are those of `kernel_scripts`.
    const STATES: u64 = 50;
    const LANES: u64 = 4;

    fn settings(dir: &Path) -> EngineSettings {
        let script = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let template = dir.join("haproxy.j2");
        let text = TEMPLATE.replace("SOCKET", &format!("{}/haproxy.sock", dir.display()));
        if !template.exists() {
            std::fs::write(&template, text).unwrap();
        }
        let (base, output): (String, PathBuf) = (dir.to_str().unwrap().to_owned(), dir.join("conf/haproxy.cfg"));
        EngineSettings::Custom(CustomSettings {
            template,
            check: vec![script("check", CHECK), base.clone(), "{file}".to_owned()],
            reload: vec![script("reload", RELOAD), base.clone(), output.to_str().unwrap().to_owned()],
            verify: vec![script("verify", VERIFY), base.clone(), "{generation}".to_owned()],
            stop: Some(vec![script("stop", STOP), base]),
            output,
            timeout: Duration::from_secs(10),
            min_reload_interval: Duration::ZERO,
        })
    }

    fn check(file: &Path) -> Result<(), String> {
        checked(Command::new("haproxy").args(["-c", "-f"]).arg(file))
    }

    fn kill(dir: &Path) {
        kill_haproxy(dir);
    }

    fn processes(dir: &Path) -> Vec<i32> {
        haproxies(dir)
    }

    fn impersonate(dir: &Path) -> Fault {
        Box::new(Impostor::at(dir.join("haproxy.sock")))
    }

    /// The user's `verify` sees the generation only.
    fn tamper(_: &Path) -> bool {
        false
    }
}

/// Every HAProxy whose command line names this directory.
pub fn haproxies(dir: &Path) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|e| e.file_name().to_str()?.parse().ok());
    let runs = |pid: &i32| {
        let line = command_line(*pid);
        line.split(' ').next().is_some_and(|program| program.ends_with("haproxy"))
            && line.contains(dir.to_str().unwrap())
    };
    pids.filter(runs).collect()
}

/// Kills them.
pub fn kill_haproxy(dir: &Path) {
    until("haproxy is gone", || {
        haproxies(dir).into_iter().for_each(kill);
        haproxies(dir).is_empty()
    });
}
