//! What nginx needs beside the listeners: its own files and limits.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::engine::paths::{PathsError, socket};
use crate::template::Vetted;

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

impl Paths {
    /// The files in a state directory.
    pub fn in_dir(state_dir: &Path) -> Result<Self, PathsError> {
        let path = socket(state_dir, "nginx-marker.sock")?;
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
