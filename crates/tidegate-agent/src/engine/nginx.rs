//! nginx with its stream module, as it was measured to behave (docs/engines.md, section nginx).
//!
//! A reload by HUP gives no status, and for 100 ms old and new workers both accept. So a reload is
//! confirmed by the marker (a listener on a unix socket that answers the generation) together with
//! every worker of the old generation being gone or shutting down.

mod build;
mod check;
mod error_log;
mod marker;
mod master;
mod reload;
mod render;
mod start;
mod view;
mod words;
mod workers;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tokio_util::sync::CancellationToken;

pub use build::{Build, BuildError};
pub use render::Renderer;
pub use view::{NginxView, Paths};

use super::paths::PathsError;
use super::{Confirmation, Engine, Pulse, Render, Rendering, Serving, log_limit};
use crate::command::CommandRunner;
use crate::connections::{Connections, CountError};
use crate::pipeline::blocking;
use crate::settings::NginxSettings;
use master::Master;

/// Drives one nginx.
pub struct Nginx {
    binary: PathBuf,
    config_file: PathBuf,
    paths: Paths,
    build: Build,
    renderer: Renderer,
    commands: Arc<dyn CommandRunner>,
}

impl Nginx {
    /// An nginx of these settings, whose own files live in `state_dir`; asks the program for its version.
    pub async fn new(
        settings: &NginxSettings,
        state_dir: &Path,
        commands: Arc<dyn CommandRunner>,
    ) -> Result<Self, NginxError> {
        let paths = Paths::in_dir(state_dir)?;
        let build = Build::ask(&settings.binary, commands.as_ref()).await?;
        let workers = workers::number(settings.workers, state_dir);
        workers::remember(workers, state_dir);
        let renderer = Renderer::new(settings, &paths, &build, workers)?;
        let (binary, config_file) = (settings.binary.clone(), settings.config_file.clone());
        Ok(Self { binary, config_file, paths, build, renderer, commands })
    }

    /// What [`Engine::render`] would give, without a program, a file or a process being touched.
    pub fn preview(settings: &NginxSettings, state_dir: &Path) -> Result<Renderer, NginxError> {
        let workers = workers::number(settings.workers, state_dir);
        let build = Build::ask_now(&settings.binary).unwrap_or_else(Build::assumed);
        Ok(Renderer::new(settings, &Paths::in_dir(state_dir)?, &build, workers)?)
    }

    fn master(&self) -> Option<Master> {
        Master::find(&self.paths.pid_file, &self.config_file)
    }
}

/// An nginx that cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum NginxError {
    /// Its files would have unusable paths.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// The program does not say what it is, or lacks the stream module.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl NginxError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Paths(error) => error.class(),
            Self::Build(error) => error.class(),
        }
    }
}

impl Render for Nginx {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        self.renderer.render(state)
    }
}

#[async_trait]
impl Engine for Nginx {
    fn kind(&self) -> EngineKind {
        EngineKind::Nginx
    }

    fn version(&self) -> Option<String> {
        Some(self.build.version.clone())
    }

    fn template(&self) -> Option<&Path> {
        self.renderer.template_path()
    }

    async fn validate(&self, candidate: &Path) -> Result<(), Failure> {
        check::run(&self.binary, candidate, self.commands.as_ref()).await
    }

    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        match self.master() {
            Some(master) => reload::send(master, &self.paths, generation),
            None => start::run(self, generation).await,
        }
    }

    /// A worker serves what it was started with: nginx cannot be changed in place.
    async fn serving(&self) -> Serving {
        if let Pulse::Down { reason } = self.pulse() {
            return Serving::Silent { reason };
        }
        match marker::ask(&self.paths.marker_socket).await {
            Some(generation) => Serving::Exactly(generation),
            None => Serving::Silent { reason: format!("no answer at {}", self.paths.marker_socket.display()) },
        }
    }

    async fn stop(&self) -> Result<(), Failure> {
        match self.master() {
            Some(master) => master.quit().await,
            None => Ok(()),
        }
    }

    fn pulse(&self) -> Pulse {
        match self.master() {
            Some(master) => Pulse::Running { old_generations: master.old_generations() },
            None => Pulse::Down { reason: format!("no nginx master of {} runs", self.config_file.display()) },
        }
    }

    fn upkeep(&self, _: CancellationToken) -> Option<BoxFuture<'static, ()>> {
        let log = self.paths.error_log.clone();
        log_limit::is_exceeded(&log).then(|| blocking(move || log_limit::shorten(&log)).boxed())
    }

    /// Open source nginx does not tell; its connections to backends are sockets of this machine.
    async fn connections(&self, to: HashSet<SocketAddr>) -> Result<Option<Connections>, CountError> {
        Connections::counted(to).await
    }
}
