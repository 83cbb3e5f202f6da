//! The files of one Envoy, all in a folder of the state directory.

use std::path::{Path, PathBuf};

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use crate::template::{UnsafePath, Vetted};

/// Longest path of a unix socket (`sun_path` of unix(7), less its final NUL).
const SOCKET_PATH_LIMIT: usize = 107;

/// The files of one Envoy.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Where they are.
    pub dir: PathBuf,
    /// Where Envoy answers; only its own user may connect.
    pub admin_socket: PathBuf,
    /// Written by Envoy, read to learn why it refused something.
    pub log: PathBuf,
    /// Written by Envoy: what a successor needs to take its sockets over.
    pub base_id: PathBuf,
}

/// A state directory that Envoy cannot use.
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
        let dir = state_dir.join("envoy");
        let admin_socket = dir.join("admin.sock");
        Vetted::path(&admin_socket)?;
        if admin_socket.as_os_str().len() > SOCKET_PATH_LIMIT {
            return Err(PathsError::TooLong { path: admin_socket });
        }
        Ok(Self { log: dir.join("envoy.log"), base_id: dir.join("base-id"), admin_socket, dir })
    }

    /// What Envoy is started with; its name tells one bootstrap from another in the process table.
    pub fn bootstrap(&self, key: &str) -> PathBuf {
        self.dir.join(format!("bootstrap-{key}.json"))
    }

    /// A file for the checker.
    pub fn check(&self, what: &str) -> PathBuf {
        self.dir.join(format!("check-{what}.json"))
    }

    /// Every listener. Each watched file has a folder of its own: a rename makes Envoy read all files that it watches there.
    pub fn listeners(&self) -> PathBuf {
        self.dir.join("lds").join("listeners.json")
    }

    /// Every cluster.
    pub fn clusters(&self) -> PathBuf {
        self.dir.join("cds").join("clusters.json")
    }

    /// The folders of endpoints.
    pub fn all_endpoints(&self) -> PathBuf {
        self.dir.join("eds")
    }

    /// The endpoints of one cluster.
    pub fn endpoints(&self, cluster: &str) -> PathBuf {
        self.all_endpoints().join(cluster).join("endpoints.json")
    }
}
