//! How a command ends: its exit code, and its error as people read it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use thiserror::Error;

use crate::client::ClientError;
use crate::config::load::ConfigError;
use crate::output::Style;

/// The exit codes of `docs/cli.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0
    Fine,
    /// 1
    Failed,
    /// 2: usage or bad configuration.
    Usage,
    /// 3: a difference, or degraded.
    Degraded,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Degraded => 3,
        })
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The configuration file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The controller's API did not answer as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] tidegate_store::StoreError),
    /// The address of the API is no URL.
    #[error("{text:?} is not the address of an API: {problem}; cure: write http://ADDRESS:8685")]
    ApiAddress {
        /// What was given.
        text: String,
        /// What is wrong.
        problem: String,
    },
    /// A file with a desired state cannot be used.
    #[error("state file {}: {problem}; cure: {cure}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What a person can do.
        cure: &'static str,
    },
    /// There is nothing to show yet.
    #[error("nothing has been recorded in {} yet; cure: {cure}", place.display())]
    NothingRecorded {
        /// Where.
        place: PathBuf,
        /// What a person can do.
        cure: &'static str,
    },
    /// The template cannot be rendered with this state.
    #[error("{message}; cure: {cure}")]
    Render {
        /// What happened.
        message: String,
        /// What a person can do.
        cure: String,
    },
    /// The role could not start, or ended with an error.
    // Our errors name their source themselves.
    #[error("{0}")]
    Serve(anyhow::Error),
    /// Standard output is gone.
    #[error("the output cannot be written: {0}; cure: look at the disk or the program that reads it")]
    Write(#[from] std::io::Error),
}

impl CommandError {
    /// The exit code.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::ApiAddress { .. } => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    /// Tells a person: one line what, one line cure.
    pub fn report(&self, style: Style) {
        let text = self.to_string();
        let (what, cure) = text.rsplit_once("; cure: ").map_or((text.as_str(), None), |(w, c)| (w, Some(c)));
        let mut stderr = std::io::stderr().lock();
        // Nobody is left to tell when standard error is gone.
        let _ = match (self, cure) {
            (Self::Config(ConfigError::Invalid { .. }), _) => writeln!(stderr, "{text}"),
            (_, Some(cure)) => {
                writeln!(stderr, "{} {what}\n{}  {cure}", style.bad("error:"), style.bold("cure:"))
            }
            (_, None) => writeln!(stderr, "{} {what}", style.bad("error:")),
        };
    }
}
