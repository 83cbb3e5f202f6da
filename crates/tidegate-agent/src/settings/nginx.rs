//! Settings of nginx.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of nginx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxSettings {
    /// The file that Tidegate owns and nginx is started with.
    pub config_file: PathBuf,
    /// A template of the user's own; absent: the built-in one.
    pub template: Option<PathBuf>,
    /// Least time between two reloads. Each reload leaves workers behind for as long as they hold connections.
    pub min_reload_interval: Duration,
    /// The program: a path, or a name that is searched in PATH.
    pub binary: PathBuf,
    /// `worker_processes`; absent: the number of CPUs when the agent first started.
    pub workers: Option<NonZeroU16>,
    /// `worker_shutdown_timeout`; absent: old workers live as long as their connections (a limit cuts connections).
    pub worker_shutdown_timeout: Option<Duration>,
}

impl NginxSettings {
    /// The defaults, for this configuration file.
    pub fn new(config_file: impl Into<PathBuf>) -> Self {
        Self {
            config_file: config_file.into(),
            template: None,
            // A reload costs about 8 MB for as long as an old connection lives; bursts ride along in one.
            min_reload_interval: Duration::from_secs(1),
            binary: PathBuf::from("nginx"),
            workers: None,
            // Measured: 2 s cut 39 of 23,000 keep-alive requests; without it none were cut.
            worker_shutdown_timeout: None,
        }
    }
}
