//! The agent's own share of an apply, beside the bare `nginx -t` + HUP of the same run.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Rig, apply_ok, command_line};
use crate::states::{at, listener, state};
use crate::traffic::backend;

fn accepting(rig: &Rig) -> Vec<i32> {
    rig.workers().into_iter().filter(|pid| !command_line(*pid).contains("shutting down")).collect()
}

/// What one screen of script would do, and then the wait until the old workers take no more connections.
fn bare(rig: &Rig) -> Duration {
    let (old, start) = (accepting(rig), Instant::now());
    let check = Command::new("nginx").args(["-t", "-q", "-e", "stderr", "-c"]).arg(&rig.nginx.config_file).status();
    assert!(check.unwrap().success());
    kill_process(Pid::from_raw(rig.master().unwrap()).unwrap(), Signal::HUP).unwrap();
    while accepting(rig).iter().any(|pid| old.contains(pid)) {
        std::thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn an_acknowledgement_comes_soon_after_a_bare_reload_would_be_done() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for revision in 1..=15 {
        let pool = vec![at(if revision % 2 == 0 { one } else { two })];
        let start = Instant::now();
        let report = apply_ok(&agent, &state(revision, vec![(listener("http", vip), pool)])).await;
        println!("{:?}", report.timings.iter().map(|t| (t.step.as_str(), t.micros)).collect::<Vec<_>>());
        // The first one starts nginx.
        if revision > 1 {
            ours.push(start.elapsed());
            theirs.push(bare(&rig));
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("ack {ours:?}, bare {theirs:?}, ratio {:.2}", ours.as_secs_f64() / theirs.as_secs_f64());
    // Debug build and a busy machine: three times what it takes alone.
    assert!(ours < theirs.mul_f64(1.3) + Duration::from_millis(20), "ack {ours:?}, bare {theirs:?}");
}
