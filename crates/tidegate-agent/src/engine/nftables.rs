//! NAT of the Linux kernel, as it was measured to behave (docs/engines.md, section nftables).
//!
//! There is no process: nft loads the live file into the kernel, whole or as the difference to what is there, in one
//! transaction. Connections that were begun keep their backend (conntrack), so a draining backend is just not in its map;
//! once it has left the state, what is left of its connections is ended.

mod change;
mod compare;
pub mod flows;
pub mod listing;
mod load;
mod nft;
mod purge;
mod render;
mod routes;
pub mod script;
mod slots;
pub mod sysctl;
mod tracking;
mod view;
mod words;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio_util::sync::CancellationToken;

pub use render::Renderer;
pub use view::{NftListenerView, NftView, Slots};

use super::vouched::Vouched;
use super::{Confirmation, Engine, Pulse, Render, Rendering, Serving, failure};
use crate::command::{CommandError, CommandLine, CommandRunner, located};
use crate::connections::{Connections, CountError};
use crate::settings::NftablesSettings;
use flows::Flows;
use load::Kernel;
use nft::Nft;
use purge::Purge;

/// A program that only prints its version has no reason to take longer.
const LIMIT: Duration = Duration::from_secs(10);

/// Drives one table of the kernel.
pub struct Nftables {
    renderer: Renderer,
    version: String,
    vouched: Vouched,
    kernel: Arc<Kernel>,
}

/// An nftables that cannot be driven.
#[derive(Debug, Error)]
pub enum NftablesError {
    /// A program does not run.
    #[error(
        "asking {name} for its version: {source}; cure: apt-get install nftables conntrack, or set agent.engine.nftables.{key}"
    )]
    Ask {
        /// Which program.
        name: String,
        /// Where its path is set.
        key: &'static str,
        /// Why not.
        source: CommandError,
    },
    /// It says no version.
    #[error("{name} does not say what it is: {output:?}; cure: set agent.engine.nftables.{key}")]
    Unknown {
        /// Which program.
        name: String,
        /// Where its path is set.
        key: &'static str,
        /// What it printed.
        output: String,
    },
}

impl NftablesError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Ask { source, .. } => source.class(),
            Self::Unknown { .. } => ErrorClass::Permanent,
        }
    }
}

impl Nftables {
    /// With these settings; asks both programs for their versions.
    pub async fn new(
        settings: &NftablesSettings,
        state_dir: &Path,
        commands: Arc<dyn CommandRunner>,
    ) -> Result<Self, NftablesError> {
        let version = version_of(&settings.binary, "binary", commands.as_ref()).await?;
        version_of(&settings.conntrack, "conntrack", commands.as_ref()).await?;
        let nft = Nft::new(&settings.binary, &settings.table, commands.clone());
        let flows = Flows::new(&settings.conntrack, view::mark(&settings.table), commands);
        let kernel = Kernel::new(nft, Purge::new(flows), settings.config_file.clone(), state_dir).await;
        Ok(Self {
            renderer: Renderer::new(settings),
            version,
            vouched: Vouched::by(&located(&settings.binary)),
            kernel: Arc::new(kernel),
        })
    }
}

async fn version_of(program: &Path, key: &'static str, commands: &dyn CommandRunner) -> Result<String, NftablesError> {
    let command = CommandLine { program: program.to_owned(), args: vec!["--version".into()], limit: LIMIT };
    let name = program.display().to_string();
    let ended = match commands.run(&command).await {
        Ok(ended) => ended,
        Err(source) => return Err(NftablesError::Ask { name, key, source }),
    };
    // `nftables v1.0.6 (Lester Gooch #5)`, `conntrack v1.4.7 (conntrack-tools)`
    let version = ended.output.split_whitespace().find_map(|word| word.strip_prefix('v')).map(str::to_owned);
    version.ok_or(NftablesError::Unknown { name, key, output: ended.output })
}

impl Render for Nftables {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        self.renderer.render(state)
    }
}

#[async_trait]
impl Engine for Nftables {
    fn kind(&self) -> EngineKind {
        EngineKind::Nftables
    }

    fn version(&self) -> Option<String> {
        Some(self.version.clone())
    }

    fn template(&self) -> Option<&Path> {
        self.renderer.template_path()
    }

    /// A structure that passed is not checked again: backends are typed values, and the kernel takes a transaction whole or
    /// not at all.
    async fn validate(&self, candidate: &Path) -> Result<(), Failure> {
        let script = self.kernel.read(candidate, Step::Validate)?.0;
        if self.vouched.covers(script.structure) {
            return Ok(());
        }
        self.kernel.nft().check(candidate).await?;
        self.vouched.passed(script.structure);
        Ok(())
    }

    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        let loaded = self.kernel.load(generation).await?;
        Ok(Box::new(Proof { kernel: self.kernel.clone(), loaded }))
    }

    async fn serving(&self) -> Serving {
        self.kernel.serving().await
    }

    async fn stop(&self) -> Result<(), Failure> {
        self.kernel.remove().await
    }

    async fn retire(&self) -> Result<(), Failure> {
        self.kernel.retire().await
    }

    async fn lingers(&self) -> bool {
        self.kernel.purge().flows().any_open().await.unwrap_or(true)
    }

    fn pulse(&self) -> Pulse {
        if self.kernel.is_there() {
            return Pulse::Running { old_generations: 0 };
        }
        Pulse::Down { reason: format!("there is no nftables table inet {}", self.kernel.nft().table()) }
    }

    fn upkeep(&self, _: CancellationToken) -> Option<BoxFuture<'static, ()>> {
        let kernel = self.kernel.clone();
        kernel.purge().is_due().then(|| async move { kernel.catch_up().await }.boxed())
    }

    /// The kernel's own table: no socket of this machine is part of a forwarded connection.
    async fn connections(&self, to: HashSet<SocketAddr>) -> Result<Option<Connections>, CountError> {
        let counted = self.kernel.purge().flows().open_to(&to).await;
        let counted = counted.map_err(|failure| CountError::Program { detail: failure.message, cure: failure.cure });
        Ok(Some(Connections::of(counted?)))
    }
}

struct Proof {
    kernel: Arc<Kernel>,
    loaded: load::Loaded,
}

#[async_trait]
impl Confirmation for Proof {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        self.kernel.prove(self.loaded).await
    }
}
