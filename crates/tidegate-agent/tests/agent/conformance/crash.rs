//! The agent is killed at each named point of an apply, by SIGKILL, as a process of its own.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::registry::Registry;
use rustix::process::{Signal, getpid, kill_process};
use tidegate_agent::StepHook;
use tidegate_agent::file::{Found, LiveFile};

use super::site::{Site, Subject, settings_in};
use crate::rig::apply_ok;
use crate::states::{at, draining, listener, state};
use crate::traffic::{Load, answering, backend};

const POINTS: [&str; 9] = [
    "render:done",
    "swap:temp-written",
    "validate:done",
    "swap:synced",
    "swap:renamed",
    "swap:dir-synced",
    "reload:sent",
    "verify:done",
    "snapshot:written",
];
const POINT: &str = "TIDEGATE_TEST_DIE_AT";
const STATE: &str = "TIDEGATE_TEST_STATE";
const DIR: &str = "TIDEGATE_TEST_DIR";

pub async fn child<S: Subject>() {
    let Ok(point) = std::env::var(POINT) else { return };
    let settings = settings_in::<S>(&PathBuf::from(std::env::var_os(DIR).unwrap()));
    let state = serde_json::from_str(&std::env::var(STATE).unwrap()).unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let (trigger, at) = (armed.clone(), point.clone());
    let hook: StepHook = Arc::new(move |reached| {
        if reached == at && trigger.load(Ordering::SeqCst) {
            _ = kill_process(getpid(), Signal::KILL);
        }
    });
    let agent = tidegate_agent::Agent::start(settings, Some(hook), &mut Registry::default()).await.unwrap();
    armed.store(true, Ordering::SeqCst);
    let report = agent.submit(state).await;
    panic!("{point} was never reached: {report:?}");
}

/// `child`: the test of this binary that calls [`child`] for the same engine.
pub async fn a_kill_at_any_point_leaves_a_whole_file<S: Subject>(child: &str) {
    let mut site = Site::<S>::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    // A backend that left without a drain may lose its connections.
    let content = |n: u64| {
        let (active, left) = if n.is_multiple_of(2) { (one, two) } else { (two, one) };
        vec![(listener("http", vip), vec![at(active), draining(at(left))])]
    };
    let agent = site.start().await;
    apply_ok(&agent, &state(1, content(1))).await;
    let files = beside(&site.live_file());
    agent.shutdown().await;
    let load = Load::start(vip);
    for (revision, point) in (1..).zip(POINTS) {
        let (before, wanted) = (state(revision, content(revision)), state(revision + 1, content(revision + 1)));
        let status = Command::new(std::env::current_exe().unwrap())
            .args([child, "--exact"])
            .env(POINT, point)
            .env(DIR, site.dir.path())
            .env(STATE, serde_json::to_string(&wanted).unwrap())
            .output()
            .unwrap();
        assert_eq!(status.status.signal(), Some(9), "{point}: {}", String::from_utf8_lossy(&status.stdout));
        // Whole, valid, and one of the two.
        site.check_live_file();
        assert!(matches!(LiveFile::new(site.live_file(), false).read(), Ok(Found::Ours(_))), "{point}");
        load.see(5);

        let agent = site.start().await;
        let status = agent.status();
        assert_eq!(status.last_error, None, "{point}");
        let live = status.live.unwrap().position;
        let renamed = ["swap:renamed", "swap:dir-synced", "reload:sent", "verify:done", "snapshot:written"];
        let expected = if renamed.contains(&point) { &wanted } else { &before };
        assert_eq!(live, expected.position, "{point}");
        let backend = |n: u64| if n.is_multiple_of(2) { one.port() } else { two.port() };
        assert_eq!(answering(vip), [backend(live.revision.0)].into(), "{point}");
        let report = agent.submit(wanted.clone()).await.unwrap();
        assert_eq!(report.live.unwrap().position, wanted.position, "{point}: {report:?}");
        assert_eq!(answering(vip), [backend(wanted.position.revision.0)].into(), "{point}");
        assert_eq!(beside(&site.live_file()), files, "{point}");
        agent.shutdown().await;
    }
    assert_eq!(load.stop(), Vec::<String>::new());
}

/// Names of the files beside the live one.
fn beside(file: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
