//! The seam between the pipeline and a load balancer program.

pub mod nginx;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tidegate_core::desired::DesiredState;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;

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

/// A load balancer program that is configured by a file.
///
/// The pipeline calls `render`, `validate`, `reload` and its confirmation in this order, never two applies
/// at a time.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// `nginx`, ...
    fn name(&self) -> &'static str;

    /// Its version, when known.
    fn version(&self) -> Option<String>;

    /// The user's own template, if there is one: an edit of it is looked for.
    fn template(&self) -> Option<&Path>;

    /// State and template to text: no side effect.
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure>;

    /// Lets the engine's own checker look at a file that is not live.
    async fn validate(&self, candidate: &Path) -> Result<(), Failure>;

    /// Tells the engine to serve the live file; one that does not run is started.
    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure>;

    /// Asks the engine what it serves; nothing when it does not run or does not answer.
    async fn serving(&self) -> Option<ContentHash>;

    /// Ends it gracefully: only used when going back to "nothing was live".
    async fn stop(&self) -> Result<(), Failure>;

    /// How it is, without asking it.
    fn pulse(&self) -> Pulse;

    /// Work on the engine's own files that is due; nothing when none is. Never done while a reload is under way.
    fn upkeep(&self) -> Option<BoxFuture<'static, ()>> {
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
