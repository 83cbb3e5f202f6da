//! Settings of an engine of the user's own.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of an engine of the user's own: a template and commands. No shell is involved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomSettings {
    /// What is rendered.
    pub template: PathBuf,
    /// The file that Tidegate owns.
    pub output: PathBuf,
    /// Checks a candidate; `{file}` in an argument stands for its path. Exit code 0: it may go live.
    pub check: Vec<String>,
    /// Makes the file at `output` live.
    pub reload: Vec<String>,
    /// Proves that it is: exit code 0; `{generation}` in an argument stands for the generation in the file's header.
    pub verify: Vec<String>,
    /// Ends what is live, when nothing was live before and the first apply failed; absent: nothing is done.
    pub stop: Option<Vec<String>>,
    /// For each command.
    pub timeout: Duration,
    /// Least time between two reloads.
    pub min_reload_interval: Duration,
}
