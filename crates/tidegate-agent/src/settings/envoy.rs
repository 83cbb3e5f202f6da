//! Settings of Envoy.

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of Envoy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvoySettings {
    /// The file that Tidegate owns; what Envoy reads is derived from it in the state directory.
    pub config_file: PathBuf,
    /// A template of the user's own; absent: the built-in one.
    pub template: Option<PathBuf>,
    /// The program: a path, or a name that is searched in PATH.
    pub binary: PathBuf,
    /// `--concurrency`; absent: one worker thread for each CPU.
    pub concurrency: Option<NonZeroU16>,
}

impl EnvoySettings {
    /// The defaults, for this configuration file.
    pub fn new(config_file: impl Into<PathBuf>) -> Self {
        Self { config_file: config_file.into(), template: None, binary: PathBuf::from("envoy"), concurrency: None }
    }
}
