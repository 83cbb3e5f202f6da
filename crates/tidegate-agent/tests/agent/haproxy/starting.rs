//! A master that has just started: its worker answers before it hears a signal.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::conformance::haproxy::Haproxy;
use crate::conformance::site::Site;
use crate::rig::apply_ok;
use crate::states::{at, listener, state};
use crate::traffic::{answering, backend, until};

/// Holds the master as soon as its worker accepts, which is some 5 ms before it would hear anything.
fn hold_the_young_master(dir: PathBuf) -> std::thread::JoinHandle<Pid> {
    std::thread::spawn(move || {
        let state = dir.join("state");
        until("a worker accepts", || UnixStream::connect(state.join("haproxy-stats.sock")).is_ok());
        let mut master = None;
        until("the master says who it is", || {
            let pid = std::fs::read_to_string(state.join("haproxy.pid")).unwrap_or_default();
            master = pid.trim().parse().ok().and_then(Pid::from_raw);
            master.is_some()
        });
        kill_process(master.unwrap(), Signal::STOP).unwrap();
        master.unwrap()
    })
}

#[tokio::test]
async fn a_reload_right_after_the_start_is_not_missed() {
    let mut site = Site::<Haproxy>::new();
    let [vip, other] = [(); 2].map(|()| site.free_port());
    let one = backend(site.address);
    let both = [("http", vip), ("other", other)].map(|(name, bind)| (listener(name, bind), vec![at(one)]));
    let agent = site.start().await;
    let held = hold_the_young_master(site.dir.path().to_owned());
    apply_ok(&agent, &state(1, vec![both[0].clone()])).await;
    let master = held.join().unwrap();
    let slow = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        kill_process(master, Signal::CONT).unwrap();
    });
    apply_ok(&agent, &state(2, both.to_vec())).await;
    slow.join().unwrap();
    assert_eq!(answering(other), [one.port()].into());
}
