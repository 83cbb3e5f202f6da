//! The seam between the pipeline and a load balancer program.
//!
//! One folder for each engine; [`open`] is the only place that lists them.

pub mod custom;
pub mod daemon;
pub mod envoy;
pub mod failure;
pub mod haproxy;
pub mod kept;
pub mod listening;
pub mod log_limit;
pub mod nftables;
pub mod nginx;
mod open;
pub mod paths;
pub mod procfs;
pub mod recipe;
pub mod succession;
pub mod unix;
pub mod vouched;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tokio_util::sync::CancellationToken;

pub use open::{EngineError, open, preview};

use crate::connections::{Connections, CountError};

/// A configuration as text, and the generation that the engine answers once it serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// Hash of everything in the text that matters: equal generations serve the same.
    pub generation: ContentHash,
    /// The whole file, sealed by [`crate::file::seal`].
    pub text: String,
}

/// How an engine is, as far as a look at the process table tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// It runs.
    Running {
        /// Earlier generations that still hold connections.
        old_generations: u64,
    },
    /// It does not.
    Down {
        /// What was looked for and not found.
        reason: String,
    },
}

/// What an engine serves, by its own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// This generation, to the last backend.
    Exactly(ContentHash),
    /// Something that no generation of ours is.
    Differs {
        /// From the live file, for people: `server http/10.0.0.1:80 is not there`.
        how: String,
    },
    /// It does not run, or does not answer.
    Silent {
        /// What was asked, and what came.
        reason: String,
    },
}

impl Serving {
    /// Whether it is exactly this generation.
    pub fn is(&self, generation: ContentHash) -> bool {
        *self == Self::Exactly(generation)
    }
}

/// State to text, without a side effect.
pub trait Render: Send + Sync {
    /// A user's template is read each time.
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure>;
}

/// A load balancer program that is configured by a file.
///
/// The pipeline calls `render`, `validate`, `reload` and its confirmation in this order, never two applies
/// at a time.
#[async_trait]
pub trait Engine: Render + 'static {
    /// Which program it is.
    fn kind(&self) -> EngineKind;

    /// Its version, when known.
    fn version(&self) -> Option<String>;

    /// The user's own template, if there is one: an edit of it is looked for.
    fn template(&self) -> Option<&Path>;

    /// Lets the engine's own checker look at a file that is not live, unless it passed the same structure before
    /// ([`vouched::Vouched`]).
    async fn validate(&self, candidate: &Path) -> Result<(), Failure>;

    /// Tells the engine to serve the live file; one that does not run is started. How it gets there, by a change in place
    /// or by a reload of the process, is its own decision: it reads the file and asks the program what it serves.
    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure>;

    /// Asks the engine what it really serves, compared with the live file.
    async fn serving(&self) -> Serving;

    /// Ends it gracefully: only used when going back to "nothing was live".
    async fn stop(&self) -> Result<(), Failure>;

    /// Takes no new connection from now on; those that it has go on. Used when another engine takes its place.
    async fn retire(&self) -> Result<(), Failure> {
        self.stop().await
    }

    /// Whether it still carries connections after it was retired: until they are gone it is not stopped. An engine that
    /// ends by itself with its last connection need not be asked.
    async fn lingers(&self) -> bool {
        false
    }

    /// How it is, without asking it.
    fn pulse(&self) -> Pulse;

    /// Work on the engine's own files that is due; nothing when none is. Never done while a reload is under way: a change
    /// that comes cancels `broken_off`, whereupon what takes long ends early and stays due.
    fn upkeep(&self, _broken_off: CancellationToken) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// How many connections are open from this machine to these TCP backends, those of earlier generations included;
    /// nothing when the engine has no way to tell.
    async fn connections(&self, _to: HashSet<SocketAddr>) -> Result<Option<Connections>, CountError> {
        Ok(None)
    }
}

/// A reload that was sent and is not confirmed yet.
#[async_trait]
pub trait Confirmation: Send {
    /// Waits until the generation is live and the one before it takes no more connections.
    async fn confirm(self: Box<Self>) -> Result<(), Failure>;
}
