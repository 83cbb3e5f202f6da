//! What nginx needs beside the listeners: its own files and limits.

use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;
use tidegate_core::class::ErrorClass;

use crate::template::{UnsafePath, Vetted};

/// Longest path of a unix socket (`sun_path` of unix(7), less its final NUL).
const SOCKET_PATH_LIMIT: usize = 107;

/// The files of one nginx.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Written by nginx.
    pub pid_file: PathBuf,
    /// Written by nginx, read to learn why a reload failed.
    pub error_log: PathBuf,
    /// Where workers answer which generation they serve.
    pub marker_socket: PathBuf,
}

/// A state directory that nginx cannot use.
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

impl Paths {
    /// The files in a state directory.
    pub fn in_dir(state_dir: &Path) -> Result<Self, PathsError> {
        let path = state_dir.join("nginx-marker.sock");
        Vetted::path(&path)?;
        if path.as_os_str().len() > SOCKET_PATH_LIMIT {
            return Err(PathsError::TooLong { path });
        }
        let [pid_file, error_log] = ["nginx.pid", "nginx-error.log"].map(|name| state_dir.join(name));
        Ok(Self { pid_file, error_log, marker_socket: path })
    }
}

/// `nginx` in templates.
#[derive(Clone, Debug, Serialize)]
pub struct NginxView {
    /// Path of the stream module, when it has to be loaded.
    pub stream_module: Option<Vetted>,
    /// See [`Paths::pid_file`].
    pub pid_file: Vetted,
    /// See [`Paths::error_log`].
    pub error_log: Vetted,
    /// See [`Paths::marker_socket`].
    pub marker_socket: Vetted,
    /// `worker_processes`: a number, because `auto` may change with a CPU quota, and changing it resets UDP
    /// flows and, with `reuseport`, connections.
    pub workers: u16,
    /// Only when configured: it cuts connections.
    pub worker_shutdown_timeout: Option<Vetted>,
    /// Connections of one worker; a proxied TCP connection counts twice.
    pub worker_connections: u32,
    /// File descriptors of one worker: its connections, listeners and log.
    pub open_files: u32,
}
