//! HAProxy.

use std::path::Path;
use std::process::Command;

use tidegate_agent::{EngineSettings, HaproxySettings};

use super::custom::kill_haproxy;
use super::nginx::checked;
use super::site::Subject;

pub struct Haproxy;

impl Subject for Haproxy {
    const SWEEP: u64 = 1000;

    fn settings(dir: &Path) -> EngineSettings {
        EngineSettings::Haproxy(HaproxySettings::new(dir.join("conf/haproxy.cfg")))
    }

    fn check(file: &Path) -> Result<(), String> {
        checked(Command::new("haproxy").args(["-c", "-f"]).arg(file))
    }

    fn kill(dir: &Path) {
        kill_haproxy(dir);
    }

    /// Somebody takes the first server out by hand, as with `socat`.
    fn tamper(dir: &Path) -> bool {
        let ask = |question: &str| -> String {
            use std::io::{Read, Write};
            let path = dir.join("state/haproxy-stats.sock");
            let mut socket = std::os::unix::net::UnixStream::connect(path).unwrap();
            socket.write_all(question.as_bytes()).unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            answer
        };
        let state = ask("show servers state\n");
        let words: Vec<&str> = state.lines().nth(2).unwrap().split(' ').collect();
        ask(&format!("set server {}/{} state maint\n", words[1], words[3]));
        true
    }
}
