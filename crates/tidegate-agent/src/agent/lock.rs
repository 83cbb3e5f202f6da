//! One agent for one state directory.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::StartError;

/// A state directory that is ours until this is dropped.
#[derive(Debug)]
pub struct StateDirLock(File);

impl StateDirLock {
    /// Makes the directory and locks it.
    pub fn take(dir: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::StateDir { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let file = File::create(dir.join("agent.lock")).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::InUse { path: dir.to_owned() }),
            Err(errno) => Err(failed(io::Error::from(errno))),
        }
    }
}

impl Drop for StateDirLock {
    fn drop(&mut self) {
        // Closing alone would leave it locked while a command that is just being started shares the file.
        _ = flock(&self.0, FlockOperation::Unlock);
    }
}
