//! What only Envoy does: its features, its faults, its restarts without a gap.

mod faults;
mod features;
mod restart;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::conformance::envoy::Envoy;
use crate::conformance::site::Site;

type EnvoySite = Site<Envoy>;

fn admin_socket(dir: &Path) -> PathBuf {
    dir.join("state/envoy/admin.sock")
}

/// What the admin interface answers, head and body.
fn ask_admin(dir: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(admin_socket(dir)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
