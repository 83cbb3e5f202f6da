//! HAProxy.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use tidegate_agent::{EngineSettings, HaproxySettings};

use super::custom::{haproxies, kill_haproxy};
use super::interposed::{Fault, Impostor};
use super::nginx::checked;
use super::site::Subject;

pub struct Haproxy;

impl Subject for Haproxy {
    const LANES: u64 = 4;

    fn settings(dir: &Path) -> EngineSettings {
        EngineSettings::Haproxy(HaproxySettings::new(dir.join("conf/haproxy.cfg")))
    }

    fn check(file: &Path) -> Result<(), String> {
        checked(Command::new("haproxy").args(["-c", "-f"]).arg(file))
    }

    fn kill(dir: &Path) {
        kill_haproxy(dir);
    }

    fn processes(dir: &Path) -> Vec<i32> {
        haproxies(dir)
    }

    fn impersonate(dir: &Path) -> Fault {
        Box::new(Impostor::at(dir.join("state/haproxy-stats.sock")))
    }

    /// Somebody takes the first server out by hand, as with `socat`.
    fn tamper(dir: &Path) -> bool {
        let state = ask(dir, "show servers state");
        let words: Vec<&str> = state.lines().nth(2).unwrap().split(' ').collect();
        ask(dir, &format!("set server {}/{} state maint", words[1], words[3]));
        true
    }
}

/// What the worker of an agent in `dir` answers at its Runtime API.
pub fn ask(dir: &Path, question: &str) -> String {
    let mut socket = UnixStream::connect(dir.join("state/haproxy-stats.sock")).unwrap();
    writeln!(socket, "{question}").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}
