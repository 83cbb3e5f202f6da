//! What HAProxy needs beside the listeners: its own files and limits.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::engine::paths::{PathsError, socket};
use crate::settings::HaproxySettings;
use crate::template::Vetted;

/// Two for each client connection, and room for listeners and sockets. HAProxy takes less where the machine allows less;
/// without a bound it takes memory for as many as the machine allows, which may be a thousand million.
const OPEN_FILES: u32 = 262_144;

/// The files of one HAProxy.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Written by HAProxy.
    pub pid_file: PathBuf,
    /// Both outputs of HAProxy.
    pub log: PathBuf,
    /// The Runtime API of the worker.
    pub stats_socket: PathBuf,
    /// The CLI of the master.
    pub master_socket: PathBuf,
}

impl Paths {
    /// The files in a state directory.
    pub fn in_dir(state_dir: &Path) -> Result<Self, PathsError> {
        Ok(Self {
            pid_file: state_dir.join("haproxy.pid"),
            log: state_dir.join("haproxy.log"),
            stats_socket: socket(state_dir, "haproxy-stats.sock")?,
            master_socket: socket(state_dir, "haproxy-master.sock")?,
        })
    }
}

/// `haproxy` in templates.
#[derive(Clone, Debug, Serialize)]
pub struct HaproxyView {
    /// See [`Paths::stats_socket`].
    pub stats_socket: Vetted,
    /// Most file descriptors of one process.
    pub open_files: u32,
    /// Only when configured: it cuts connections.
    pub hard_stop_after: Option<Vetted>,
}

impl HaproxyView {
    /// For these settings and files.
    pub fn new(settings: &HaproxySettings, paths: &Paths) -> Result<Self, PathsError> {
        Ok(Self {
            stats_socket: Vetted::path(&paths.stats_socket)?,
            open_files: OPEN_FILES,
            hard_stop_after: settings.hard_stop_after.map(Vetted::from),
        })
    }
}
