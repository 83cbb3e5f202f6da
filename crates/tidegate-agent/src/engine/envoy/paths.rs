//! The files of one Envoy, all in a folder of the state directory.

use std::path::{Path, PathBuf};

use crate::engine::paths::{PathsError, socket};

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

impl Paths {
    /// The files in a state directory.
    pub fn in_dir(state_dir: &Path) -> Result<Self, PathsError> {
        let dir = state_dir.join("envoy");
        let admin_socket = socket(&dir, "admin.sock")?;
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
