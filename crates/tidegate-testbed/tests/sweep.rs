//! Nothing is left of a run that was killed, with or without its janitor. Needs root.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use tidegate_testbed::process::{Process, Spec, procfs};
use tidegate_testbed::{Lab, deadline, run, sweep};

const SOON: Duration = Duration::from_secs(10);

/// Where the child run reports what it has made.
const REPORT: &str = "TIDEGATE_SWEEP_TEST_REPORT";

/// A run of its own, killed by the tests below.
#[tokio::test]
#[ignore = "started by the other tests of this file"]
async fn child_run() {
    let report = PathBuf::from(std::env::var(REPORT).unwrap());
    let mut lab = Lab::new().unwrap();
    let host = lab.add_host("host").unwrap();
    let folder = run::current().unwrap().folder();
    // The second sleep leaves its process group and outlives its parent, as a daemon does.
    let script = "setsid sleep 4321 & exec sleep 4321";
    let inside = host.spawn("inside", &["sh", "-c", script], folder.join("log")).unwrap();
    let argv = vec!["sleep".to_owned(), "4321".to_owned()];
    let outside = Process::spawn(Spec::new("outside", argv, folder.join("log"))).unwrap();
    deadline::until("the daemon", SOON, || async {
        let pids = Command::new("ip").args(["netns", "pids", host.namespace()]).output().unwrap();
        (String::from_utf8_lossy(&pids.stdout).lines().count() >= 2).then_some(())
    })
    .await
    .unwrap();
    let janitor = run::current().unwrap().janitor();
    let text = format!("{janitor} {} {} {}", inside.pid(), outside.pid(), host.namespace());
    std::fs::write(report.with_extension("tmp"), text).unwrap();
    std::fs::rename(report.with_extension("tmp"), report).unwrap();
    std::future::pending::<()>().await;
}

struct Victim {
    child: Child,
    janitor: u32,
    processes: Vec<(u32, u64)>,
    namespace: PathBuf,
    folder: PathBuf,
}

impl Victim {
    async fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let report = scratch.path().join("report");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_run"])
            .env(REPORT, &report)
            .spawn()
            .unwrap();
        let text = deadline::until("the child's report", SOON, || async { std::fs::read_to_string(&report).ok() });
        let text = text.await.unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let namespace = Path::new("/run/netns").join(words[3]);
        let mut pids: Vec<u32> = words[1..3].iter().map(|word| word.parse().unwrap()).collect();
        let inside = Command::new("ip").args(["netns", "pids", words[3]]).output().unwrap();
        pids.extend(String::from_utf8_lossy(&inside.stdout).lines().map(|pid| pid.trim().parse::<u32>().unwrap()));
        let processes = pids.into_iter().map(|pid| (pid, procfs::start_time(pid).unwrap())).collect();
        let folder = std::env::temp_dir().join(format!("tidegate-lab-{}", child.id()));
        Self { janitor: words[0].parse().unwrap(), child, processes, namespace, folder }
    }

    /// `kill -9` of the run, at the worst moment.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn alive(&self) -> usize {
        self.processes.iter().filter(|(pid, started)| procfs::is_alive(*pid, *started)).count()
    }

    fn is_gone(&self) -> bool {
        self.alive() == 0 && !self.namespace.exists() && !self.folder.exists()
    }
}

#[tokio::test]
async fn the_janitor_cleans_up_after_a_killed_run() {
    let mut victim = Victim::start().await;
    assert!(victim.namespace.exists() && victim.folder.exists());
    assert!(victim.alive() >= 3, "{:?}", victim.processes);
    victim.kill();
    deadline::until_true("nothing left", SOON, || victim.is_gone()).await.unwrap();
}

#[tokio::test]
async fn the_sweep_removes_what_a_run_and_its_janitor_have_left() {
    // Our own run starts first: its start sweeps too, and must not do the work of the test.
    run::current().unwrap();
    let mut victim = Victim::start().await;
    let janitor = i32::try_from(victim.janitor).unwrap();
    let janitor = rustix::process::Pid::from_raw(janitor).unwrap();
    rustix::process::kill_process_group(janitor, rustix::process::Signal::KILL).unwrap();
    sweep::sweep_stale();
    assert!(victim.namespace.exists() && victim.folder.exists(), "a living run was swept");
    victim.kill();
    assert!(victim.namespace.exists() && victim.folder.exists());
    sweep::sweep_stale();
    deadline::until_true("nothing left", SOON, || victim.is_gone()).await.unwrap();
}
