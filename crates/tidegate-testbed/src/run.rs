//! This process's folder, and the janitor that removes what a dead process leaves behind.
//!
//! Everything a run makes carries its pid: `/tmp/tidegate-lab-<pid>/` and `tg<pid>-*` namespaces.
//! The folder records the start time of the owner and of each child, so that a reused pid is never
//! taken for the old process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context, Result, anyhow};
use fs_err as fs;

use crate::process::procfs;
use crate::sweep;

pub(crate) const FOLDER_PREFIX: &str = "tidegate-lab-";
pub(crate) const OWNER: &str = "owner";
pub(crate) const CHILDREN: &str = "children";

/// Ends when the pipe to its owner breaks, however the owner went, and then cleans up after it.
/// Children die by themselves (`setpriv --pdeathsig`); their own children, as nginx workers, do not.
const JANITOR: &str = r#"
cat >/dev/null
for ns in $(ls /run/netns 2>/dev/null | grep "^$2"); do
    ip netns pids "$ns" | xargs -r kill -9
    ip netns delete "$ns"
done
for attempt in 1 2 3 4 5; do rm -rf "$1" && exit; sleep 0.2; done
"#;

/// What identifies this process's run.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    next: AtomicU32,
    children: Mutex<std::fs::File>,
    janitor: Child,
}

/// The run of this process; the first call sweeps what dead runs have left and starts the janitor.
pub fn current() -> Result<&'static Run> {
    static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
    RUN.get_or_init(|| Run::begin().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("starting a testbed run: {error}"))
}

impl Run {
    fn begin() -> Result<Self> {
        sweep::sweep_stale();
        let pid = std::process::id();
        let folder = folder_of(pid);
        fs::create_dir_all(&folder)?;
        let started = procfs::start_time(pid).context("reading our own start time")?;
        fs::write(folder.join(OWNER), started.to_string())?;
        let children = std::fs::OpenOptions::new().create(true).append(true).open(folder.join(CHILDREN))?;
        let janitor = start_janitor(&folder)?;
        Ok(Self { folder, next: AtomicU32::new(0), children: Mutex::new(children), janitor })
    }

    /// The folder of this run; it goes when the process goes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The pid of the shell that cleans up after us.
    pub fn janitor(&self) -> u32 {
        self.janitor.id()
    }

    /// A new folder `<name>-<n>`, removed when dropped.
    pub fn scratch(&self, name: &str) -> Result<Scratch> {
        let path = self.folder.join(format!("{name}-{}", self.number()));
        fs::create_dir_all(&path)?;
        Ok(Scratch { path })
    }

    /// A number that no other thing of this run has.
    pub(crate) fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers a child for the sweep of a later run, should both we and the janitor be killed.
    pub(crate) fn record_child(&self, pid: u32, name: &str) -> Result<()> {
        let started = procfs::start_time(pid).unwrap_or_default();
        let mut file = self.children.lock().map_err(|_| anyhow!("a thread died while it recorded a child"))?;
        writeln!(file, "{pid} {started} {name}").context("recording a child")
    }
}

/// A folder that is removed with its contents when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now goes with the run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub(crate) fn folder_of(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{FOLDER_PREFIX}{pid}"))
}

/// Every namespace of process `pid` starts with this.
pub(crate) fn namespace_prefix(pid: u32) -> String {
    format!("tg{pid}-")
}

fn start_janitor(folder: &Path) -> Result<Child> {
    use std::os::unix::process::CommandExt;
    Command::new("sh")
        .args(["-c", JANITOR, "tidegate-janitor"])
        .arg(folder)
        .arg(namespace_prefix(std::process::id()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group, so that ctrl-C in the terminal does not end it together with us.
        .process_group(0)
        .spawn()
        .context("starting the janitor shell")
}
