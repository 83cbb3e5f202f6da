//! What `haproxy -v` says of the program, and programs that cannot be driven.

use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use crate::command::{CommandError, CommandLine, CommandRunner};
use crate::engine::paths::PathsError;

/// A program that only prints its version has no reason to take longer.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// An HAProxy that cannot be driven.
#[derive(Debug, Error)]
pub enum HaproxyError {
    /// Its files would have unusable paths.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// It does not run.
    #[error(
        "asking HAProxy for its version: {source}; cure: apt-get install haproxy, or set agent.engine.haproxy.binary"
    )]
    Ask {
        /// Why.
        #[from]
        source: CommandError,
    },
    /// It is something else.
    #[error("`{command}` does not say what it is: {output:?}; cure: set agent.engine.haproxy.binary to an haproxy")]
    NotHaproxy {
        /// What was run.
        command: String,
        /// What it printed.
        output: String,
    },
}

impl HaproxyError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Paths(error) => error.class(),
            Self::Ask { source } => source.class(),
            Self::NotHaproxy { .. } => ErrorClass::Permanent,
        }
    }
}

/// Asks the program for its version: `2.6.12-1+deb12u4`.
pub async fn version(binary: &Path, commands: &dyn CommandRunner) -> Result<String, HaproxyError> {
    let command = CommandLine { program: binary.to_owned(), args: vec!["-v".into()], limit: VERSION_LIMIT };
    let output = commands.run(&command).await?.output;
    let version = output.strip_prefix("HAProxy version ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
    version.ok_or_else(|| HaproxyError::NotHaproxy { command: command.to_string(), output })
}
