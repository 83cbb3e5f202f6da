//! The binaries are there, and asking again costs nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use tidegate_testbed::servers;

#[test]
fn every_server_is_there_and_says_its_version() {
    servers::ensure_all().unwrap();
    let plane = servers::ensure_control_plane().unwrap();
    let manager = servers::ensure_controller_manager().unwrap();
    for (binary, version) in [
        (plane.kube_apiserver, "v1.36.3"),
        (manager, "v1.36.3"),
        (plane.etcd, "3.6.16"),
        (servers::ensure_old_etcd().unwrap(), "3.4."),
    ] {
        let output = Command::new(&binary).arg("--version").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(version), "{}: {text}", binary.display());
    }
    let again = Instant::now();
    servers::ensure_all().unwrap();
    assert!(again.elapsed() < Duration::from_secs(1));
}
