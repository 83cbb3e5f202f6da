//! Removing what a run has left: our own on request, that of dead processes at start.
//!
//! Normally nothing is left: drops clean up, and the janitor (see [`crate::run`]) cleans up after a
//! process that was killed. A program that handles SIGINT or SIGTERM itself, as the demo does, drops
//! its `Site` or calls [`sweep_own`] before it exits, so that the prompt comes back to a clean machine.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::process::procfs;
use crate::run::{CHILDREN, FOLDER_PREFIX, OWNER, folder_of, namespace_prefix};

const KILL_ROUNDS: u32 = 50;

/// What a sweep has removed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swept {
    pub processes: u32,
    pub namespaces: u32,
    pub folders: u32,
}

/// Kills and removes everything of this process, without waiting for drops.
pub fn sweep_own() -> Swept {
    let mut swept = Swept::default();
    sweep_run(std::process::id(), &mut swept);
    swept
}

/// Kills and removes everything of runs whose process is gone. Errors are ignored: another process
/// may be sweeping the same leftovers, or they may belong to another user.
pub fn sweep_stale() -> Swept {
    let mut swept = Swept::default();
    for pid in known_runs() {
        if !is_running(pid) {
            sweep_run(pid, &mut swept);
        }
    }
    if swept != Swept::default() {
        tracing::info!(?swept, "removed the leftovers of dead runs");
    }
    swept
}

fn known_runs() -> Vec<u32> {
    let folders = names_in(&std::env::temp_dir());
    let from_folders = folders.iter().filter_map(|name| name.strip_prefix(FOLDER_PREFIX)?.parse().ok());
    let namespaces = names_in(Path::new(crate::lab::NAMESPACES));
    let from_namespaces = namespaces.iter().filter_map(|name| owner_of(name));
    let mut pids: Vec<u32> = from_folders.chain(from_namespaces).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// The pid in `tg<pid>-<number>-<role>`; `None` for a namespace that is none of ours.
fn owner_of(namespace: &str) -> Option<u32> {
    let mut parts = namespace.strip_prefix("tg")?.splitn(3, '-');
    let pid = parts.next()?.parse().ok()?;
    let _number: u32 = parts.next()?.parse().ok()?;
    parts.next().map(|_role| pid)
}

/// A run is alive when its pid is, and is still the process that made the folder.
fn is_running(pid: u32) -> bool {
    let recorded = fs::read_to_string(folder_of(pid).join(OWNER)).ok();
    match recorded.and_then(|text| text.trim().parse().ok()) {
        Some(started) => procfs::is_alive(pid, started),
        None => procfs::start_time(pid).is_some(),
    }
}

fn sweep_run(pid: u32, swept: &mut Swept) {
    let folder = folder_of(pid);
    let children = fs::read_to_string(folder.join(CHILDREN)).unwrap_or_default();
    for line in children.lines() {
        swept.processes += u32::from(kill_recorded(line));
    }
    let prefix = namespace_prefix(pid);
    for name in names_in(Path::new(crate::lab::NAMESPACES)) {
        if name.starts_with(&prefix) {
            let killed = remove_namespace(&name);
            swept.processes += killed.unwrap_or_default();
            swept.namespaces += u32::from(killed.is_some());
        }
    }
    swept.folders += u32::from(fs::remove_dir_all(&folder).is_ok());
}

/// `line` is `<pid> <start time> <name>`; each child leads a process group of its own.
fn kill_recorded(line: &str) -> bool {
    let mut words = line.split(' ');
    let (Some(Ok(pid)), Some(Ok(started))) = (words.next().map(str::parse::<u32>), words.next().map(str::parse::<u64>))
    else {
        return false;
    };
    procfs::is_alive(pid, started) && kill_group(pid)
}

fn kill_group(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process_group(pid, Signal::KILL).is_ok())
}

/// Removes a namespace and kills every process in it, including daemons that left their group.
/// Returns how many were killed, or `None` when there is no such namespace.
pub(crate) fn remove_namespace(name: &str) -> Option<u32> {
    let file = std::fs::metadata(Path::new(crate::lab::NAMESPACES).join(name)).ok()?;
    // The name goes first: after that no process can enter behind our back.
    Command::new("ip").args(["netns", "delete", name]).output().ok()?;
    let mut killed = 0;
    // One that was just about to enter is seen in the next round.
    for _ in 0..KILL_ROUNDS {
        let members = procfs::in_network_namespace(file.ino());
        let round = members.into_iter().map(|pid| u32::from(kill(pid))).sum::<u32>();
        killed += round;
        std::thread::sleep(Duration::from_millis(2));
        if round == 0 {
            break;
        }
    }
    Some(killed)
}

fn kill(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_form_are_ours() {
        assert_eq!(owner_of("tg123-4-worker-1"), Some(123));
        for foreign in ["tg123", "tg123-lab", "tg-1-x", "tgx-1-y", "cni-123-4-x"] {
            assert_eq!(owner_of(foreign), None, "{foreign}");
        }
    }
}
