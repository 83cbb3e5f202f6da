//! Small filesystems of a test's own. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted filesystem, until it is dropped.
pub struct Mount(PathBuf);

impl Mount {
    pub fn tmpfs(at: &Path, options: &str) -> Self {
        run("mount", &["-t", "tmpfs", "-o", options, "tidegate-test", at.to_str().unwrap()]);
        Self(at.to_owned())
    }

    pub fn remount(&self, options: &str) {
        run("mount", &["-o", &format!("remount,{options}"), self.0.to_str().unwrap()]);
    }

    /// Leaves no byte free, until the answer is dropped.
    pub fn fill(&self, inside: &Path) -> Filler {
        assert!(inside.starts_with(&self.0), "no other filesystem may be filled");
        let path = inside.join("filler");
        let filled = std::fs::write(&path, vec![0; 4 << 20]);
        assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        Filler(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// What takes all the space.
pub struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A directory in which nobody can make, rename or remove a file, root included.
pub struct Immutable(PathBuf);

impl Immutable {
    pub fn new(directory: &Path) -> Self {
        run("chattr", &["+i", directory.to_str().unwrap()]);
        Self(directory.to_owned())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        drop(Command::new("chattr").arg("-i").arg(&self.0).status());
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "this test needs root: {}", String::from_utf8_lossy(&output.stderr));
}
