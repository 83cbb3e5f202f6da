//! How a command ends: its exit code, and its error as people read it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;
use tidegate_controller::{ApiFailure, SourceError};
use tidegate_core::ids::ClusterName;
use tidegate_core::time::human;
use tidegate_store::{MigrateError, StoreError};

use crate::client::ClientError;
use crate::config::load::ConfigError;
use crate::config::one_line::OneLineError;
use crate::output::Style;
use crate::recorded::OpenError;

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
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is recorded cannot be copied.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The two files of a migration are about two clusters.
    #[error("--from is about cluster {from}, --to about cluster {to}; cure: pass two files with the same cluster.name")]
    TwoClusters {
        /// One.
        from: ClusterName,
        /// The other.
        to: ClusterName,
    },
    /// The two files of a migration name one store.
    #[error("--from and --to both name the {place}; cure: write the new store into the file of --to")]
    SameStore {
        /// Which.
        place: String,
    },
    /// A controller runs that must not.
    #[error("a controller of cluster {cluster} answers at {url}; cure: stop every controller of that cluster first")]
    Running {
        /// Its cluster.
        cluster: ClusterName,
        /// Where.
        url: String,
    },
    /// A controller holds the Lease.
    #[error(
        "controller {holder} renewed the Lease {} ago; cure: stop every controller first (kubectl scale deployment tidegate --replicas 0)",
        human(*age)
    )]
    Leads {
        /// Which.
        holder: String,
        /// When it last did.
        age: Duration,
    },
    /// The cluster cannot be asked.
    #[error(transparent)]
    Kubernetes(ApiFailure),
    /// The Nodes cannot be listed.
    #[error(transparent)]
    Nodes(SourceError),
    /// A file with a secret cannot be used.
    #[error(transparent)]
    Secret(#[from] OneLineError),
    /// Orders need a token.
    #[error(
        "the API takes orders only with its token; cure: pass the file that holds it with --token-file, or the controller's configuration with -c"
    )]
    NoToken,
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
    #[error("nothing has been recorded in {place} yet; cure: {cure}")]
    NothingRecorded {
        /// Where.
        place: String,
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
            Self::Config(_)
            | Self::ApiAddress { .. }
            | Self::NoToken
            | Self::TwoClusters { .. }
            | Self::SameStore { .. } => Exit::Usage,
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
