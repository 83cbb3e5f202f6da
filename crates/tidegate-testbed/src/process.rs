//! Child processes: logged to a file, in a process group of their own, gone when we are.

pub mod procfs;
mod spawner;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{deadline, run};

/// Milliseconds.
const STOP_CHECKS: u32 = 5000;

/// How to start a process, kept so that it can be started again.
#[derive(Debug, Clone)]
pub struct Spec {
    pub name: String,
    /// Program and arguments; never a shell string.
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Standard output and error are appended here.
    pub log: PathBuf,
}

impl Spec {
    pub fn new(name: &str, argv: Vec<String>, log: PathBuf) -> Self {
        Self { name: name.to_owned(), argv, env: Vec::new(), log }
    }

    fn spawn(&self) -> Result<Child> {
        use std::os::unix::process::CommandExt;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening the log {}", self.log.display()))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.argv)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = spawner::spawn(command).with_context(|| format!("starting {}", self.name))?;
        run::current()?.record_child(child.id(), &self.name)?;
        Ok(child)
    }
}

/// A running (or dead, or stopped) child. Dropping it kills it and its process group.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Mutex<Child>,
}

impl Process {
    pub fn spawn(spec: Spec) -> Result<Self> {
        let child = Mutex::new(spec.spawn()?);
        Ok(Self { spec, child })
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// Sends a signal to this process alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        // A child that has been reaped may have given its pid to someone else.
        if child.try_wait()?.is_none() {
            kill_process(pid_of(&child)?, signal).with_context(|| format!("signalling {}", self.spec.name))?;
        }
        Ok(())
    }

    /// Sends a signal to this process and everything in its group.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        if child.try_wait()?.is_none() {
            kill_process_group(pid_of(&child)?, signal).with_context(|| format!("signalling {}", self.spec.name))?;
        }
        Ok(())
    }

    /// SIGSTOP, and waits until every thread has stopped: on a busy machine one may answer after it.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        for _ in 0..STOP_CHECKS {
            if procfs::is_stopped(self.pid()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        anyhow::bail!("{} did not stop", self.spec.name)
    }

    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGKILL to this process alone: what it has started lives on, as after a crash.
    pub fn kill9(&self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        Ok(self.child().wait()?)
    }

    /// SIGKILL to the process and to everything in its group.
    pub fn kill_group(&self) -> Result<ExitStatus> {
        let mut child = self.child();
        // The group keeps the id alive while a member is left, even after the leader was reaped;
        // a group without members answers ESRCH.
        let _ = kill_process_group(pid_of(&child)?, Signal::KILL);
        Ok(child.wait()?)
    }

    /// SIGTERM, then waits for the end.
    pub async fn terminate(&self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(limit).await
    }

    pub async fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.spec.name);
        deadline::until(&what, limit, || std::future::ready(self.exit_status())).await
    }

    /// Starts it again after it has ended; kills it first when it has not.
    pub fn restart(&self) -> Result<()> {
        self.restart_with_env(&[])
    }

    /// As [`Self::restart`], with more environment for this one start.
    pub fn restart_with_env(&self, env: &[(&str, &str)]) -> Result<()> {
        if self.is_running() {
            self.kill9()?;
        }
        let mut spec = self.spec.clone();
        spec.env.extend(env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let child = spec.spawn()?;
        *self.child() = child;
        Ok(())
    }

    /// The last lines of the log, for error messages.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.spec.log, lines)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        // A panic elsewhere does not make the child any less a child.
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill_group();
    }
}

fn pid_of(child: &Child) -> Result<Pid> {
    let raw = i32::try_from(child.id()).ok();
    raw.and_then(Pid::from_raw).context("a pid out of range")
}

/// The last lines of a file, or a note that there are none.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let kept = all.iter().skip(all.len().saturating_sub(lines));
    let kept: Vec<&str> = kept.copied().collect();
    if kept.is_empty() { format!("({} is empty)", path.display()) } else { kept.join("\n") }
}
