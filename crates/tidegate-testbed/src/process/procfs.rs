//! Who is who in `/proc`: a pid alone does not identify a process, pid and start time do.

use std::os::unix::fs::MetadataExt;

/// Start time in clock ticks since boot; `None` when there is no such process.
pub fn start_time(pid: u32) -> Option<u64> {
    fields(pid)?.split(' ').nth(19)?.parse().ok()
}

/// Whether that very process still runs; a zombie does not.
pub fn is_alive(pid: u32, started: u64) -> bool {
    start_time(pid) == Some(started) && !fields(pid).is_none_or(|fields| fields.starts_with('Z'))
}

/// Whether every thread of a process has stopped; SIGSTOP only asks for it.
pub fn is_stopped(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut tasks = tasks.into_iter().flatten().flatten();
    tasks.all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('T'))
    })
}

/// The living processes of the network namespace with this inode, ourselves excepted.
pub fn in_network_namespace(inode: u64) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != std::process::id() && namespace_of(pid) == Some(inode))
        .collect()
}

/// A zombie has none any more.
fn namespace_of(pid: u32) -> Option<u64> {
    std::fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|file| file.ino())
}

/// `/proc/<pid>/stat` from the state on: the name before it may hold spaces and parentheses.
fn fields(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_start_time_is_known_and_no_other_matches() {
        let started = start_time(std::process::id()).unwrap();
        assert!(is_alive(std::process::id(), started));
        assert!(!is_alive(std::process::id(), started + 1));
    }
}
