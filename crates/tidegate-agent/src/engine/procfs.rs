//! Looking at processes: by their command line and open files, never by name alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// A process id.
pub type Pid = i32;

/// A process that replaces itself (`execve`) has no command line for a moment.
const EXEC_PAUSE: Duration = Duration::from_millis(1);
const EXEC_PAUSES: usize = 20;

/// The command line, arguments separated by spaces; nothing for a process that is gone, a zombie, or of the kernel.
pub fn command_line(pid: Pid) -> Option<String> {
    for _ in 0..EXEC_PAUSES {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let text = String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned();
        if !text.is_empty() {
            return Some(text);
        }
        // What has a program but no arguments is being replaced; zombies and the kernel's own have none.
        std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        std::thread::sleep(EXEC_PAUSE);
    }
    None
}

/// The parent; nothing for a process that is gone.
pub fn parent(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so count from its end: state, then parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// When it was started, in ticks of the kernel's clock since the machine was; nothing for a process that is gone.
pub fn started(pid: Pid) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Every process.
pub fn all() -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// The children of a process.
pub fn children(pid: Pid) -> Vec<Pid> {
    // Needs CONFIG_PROC_CHILDREN; without it, look at every process.
    match std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(text) => text.split_whitespace().filter_map(|t| t.parse().ok()).collect(),
        Err(_) => all().into_iter().filter(|child| parent(*child) == Some(pid)).collect(),
    }
}

/// The targets of a process's open files: paths, or `socket:[inode]`.
pub fn open_files(pid: Pid) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|e| Some(std::fs::read_link(e.path()).ok()?.to_string_lossy().into_owned())).collect()
}

/// The `socket:[inode]` of each unix socket that is or was bound to this path.
pub fn sockets_at(path: &Path) -> BTreeSet<String> {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let bound = |line: &str| {
        let mut fields = line.split_whitespace().skip(6);
        let (inode, at) = (fields.next()?, fields.next()?);
        (Path::new(at) == path).then(|| format!("socket:[{inode}]"))
    };
    table.lines().filter_map(bound).collect()
}
