//! Files of an engine below the state directory.

use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use crate::template::{UnsafePath, Vetted};

/// Longest path of a unix socket (`sun_path` of unix(7), less its final NUL).
const SOCKET_PATH_LIMIT: usize = 107;

/// A state directory that an engine cannot use.
#[derive(Debug, Error)]
pub enum PathsError {
    /// It cannot be written into a configuration file.
    #[error("agent.stateDir: {0}; cure: choose a plain path such as /var/lib/tidegate")]
    Unsafe(#[from] UnsafePath),
    /// The socket's path would be too long.
    #[error("agent.stateDir: {} is longer than the {SOCKET_PATH_LIMIT} characters that a unix socket allows; cure: choose a shorter path", path.display())]
    TooLong {
        /// Of the socket.
        path: PathBuf,
    },
}

impl PathsError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// The path of a unix socket in a state directory, which can be written into a configuration and bound.
pub fn socket(state_dir: &Path, name: &str) -> Result<PathBuf, PathsError> {
    let path = state_dir.join(name);
    Vetted::path(&path)?;
    if path.as_os_str().len() > SOCKET_PATH_LIMIT {
        return Err(PathsError::TooLong { path });
    }
    Ok(path)
}
