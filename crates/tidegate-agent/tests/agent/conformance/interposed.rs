//! What stands between an agent and its engine in a test: nobody, or somebody else.

use std::any::Any;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// A fault that is over when this is dropped.
pub type Fault = Box<dyn Any>;

/// Processes that are stopped while it lives.
pub struct Stopped(Vec<i32>);

impl Stopped {
    pub fn new(pids: Vec<i32>) -> Self {
        assert!(!pids.is_empty(), "there is nobody to stop");
        let stopped = Self(pids);
        stopped.signal(Signal::STOP);
        stopped
    }

    fn signal(&self, signal: Signal) {
        for pid in &self.0 {
            // It may have ended meanwhile.
            _ = kill_process(Pid::from_raw(*pid).unwrap(), signal);
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}

/// Answers nonsense at the path of a socket while it lives; the real socket is kept aside.
pub struct Impostor {
    socket: PathBuf,
    inode: u64,
}

impl Impostor {
    pub fn at(socket: PathBuf) -> Self {
        std::fs::rename(&socket, kept(&socket)).unwrap();
        let fake = UnixListener::bind(&socket).unwrap();
        let inode = std::fs::metadata(&socket).unwrap().ino();
        std::thread::spawn(move || {
            let answers: [&[u8]; 5] = [
                b"HTTP/1.1 200 OK\r\n\r\n\xff\0garbage",
                b"nonsense",
                b"description: x\nPid: -1\n\n",
                b"HTTP/1.1 500 No\r\n\r\n",
                b"",
            ];
            for (n, mut stream) in fake.incoming().flatten().enumerate() {
                // Whoever asks nothing is answered as well.
                _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(50)));
                _ = stream.read(&mut [0; 512]);
                _ = stream.write_all(answers[n % answers.len()]);
            }
        });
        Self { socket, inode }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        // The engine may have taken its place again.
        let still_there = std::fs::metadata(&self.socket).is_ok_and(|found| found.ino() == self.inode);
        if still_there {
            _ = std::fs::rename(kept(&self.socket), &self.socket);
        }
    }
}

fn kept(socket: &Path) -> PathBuf {
    socket.with_extension("kept")
}

/// A program that is asked in place of another one, and does what a file beside it says.
pub struct Wrapper(PathBuf);

impl Wrapper {
    /// Where it is for an engine in `dir`.
    pub fn path(dir: &Path, program: &str) -> PathBuf {
        dir.join(format!("{program}-wrapper"))
    }

    /// Passes everything on, until something else is asked of it.
    pub fn write(dir: &Path, program: &str) {
        let (path, order) = (Self::path(dir, program), Self::order(dir, program));
        let order = order.display();
        // It hangs once: each call is waited for as long as the longest of all may take.
        let text = format!(
            "#!/bin/sh\ncase \"$(cat {order} 2>/dev/null)\" in\n\
             hang) rm {order}; exec sleep 60 ;;\n\
             nonsense) printf '\\377{{\"nftables\": [7, \\0'; exit 0 ;;\nesac\nexec {program} \"$@\"\n"
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// From now on it does this, while the answer lives.
    pub fn told(dir: &Path, program: &str, what: &str) -> Self {
        let order = Self::order(dir, program);
        std::fs::write(&order, what).unwrap();
        Self(order)
    }

    fn order(dir: &Path, program: &str) -> PathBuf {
        dir.join(format!("{program}-order"))
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}
