//! HAProxy 2.6 and later, as it was measured to behave (docs/engines.md, section HAProxy).
//!
//! The file holds all that is served. A change of servers alone goes to the running worker by the Runtime API (0.3 ms, no
//! process comes or goes); anything else is a reload, serialised by the pipeline, because HAProxy loses reload signals
//! that come during a reload. What a worker was started with is told by its `description`; what it serves, by
//! `show servers state`.

mod build;
mod change;
mod check;
pub mod config;
mod converge;
pub mod info;
pub mod live;
mod master;
mod process;
mod proof;
mod render;
mod row;
mod runtime;
mod server;
mod tidy;
mod view;

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio_util::sync::CancellationToken;

pub use build::HaproxyError;
pub use render::Renderer;
pub use view::{HaproxyView, Paths};

use super::kept::Kept;
use super::vouched::Vouched;
use super::{Confirmation, Engine, Pulse, Render, Rendering, Serving, failure, log_limit};
use crate::command::{CommandRunner, located};
use crate::connections::{Connections, CountError};
use crate::pipeline::blocking;
use crate::settings::HaproxySettings;
use change::distance;
use config::Config;
use converge::{Converged, Reached, in_place};
use master::Master;
use proof::Proof;
use runtime::{Runtime, Worker};
use tidy::{Chores, Tidier};

/// Drives one HAProxy.
pub struct Haproxy {
    binary: PathBuf,
    config_file: PathBuf,
    paths: Paths,
    version: String,
    renderer: Renderer,
    runtime: Runtime,
    vouched: Arc<Vouched>,
    kept: Kept<Config>,
    proof: Arc<Proof>,
    chores: Arc<Chores>,
    commands: Arc<dyn CommandRunner>,
}

impl Haproxy {
    /// An HAProxy of these settings, whose own files live in `state_dir`; asks the program for its version.
    pub async fn new(
        settings: &HaproxySettings,
        state_dir: &Path,
        commands: Arc<dyn CommandRunner>,
    ) -> Result<Self, HaproxyError> {
        let paths = Paths::in_dir(state_dir)?;
        let binary = located(&settings.binary);
        let version = build::version(&binary, commands.as_ref()).await?;
        Ok(Self {
            renderer: Renderer::new(settings, &paths)?,
            runtime: Runtime::at(&paths),
            vouched: Arc::new(Vouched::by(&binary)),
            kept: Kept::default(),
            proof: Arc::default(),
            chores: Arc::default(),
            config_file: settings.config_file.clone(),
            binary,
            paths,
            version,
            commands,
        })
    }

    /// What [`Render::render`] would give, without a program, a file or a process being touched.
    pub fn preview(settings: &HaproxySettings, state_dir: &Path) -> Result<Renderer, HaproxyError> {
        Ok(Renderer::new(settings, &Paths::in_dir(state_dir)?)?)
    }

    fn master(&self) -> Option<Master> {
        Master::find(&self.paths.pid_file, &self.config_file)
    }

    /// The live file, if it is as we wrote it, with its generation.
    fn live_file(&self) -> Option<(ContentHash, Arc<Config>)> {
        let text = std::fs::read_to_string(&self.config_file).ok()?;
        self.taken_apart(&text)
    }

    /// A text with its generation; nothing when it is not as we wrote it.
    fn taken_apart(&self, text: &str) -> Option<(ContentHash, Arc<Config>)> {
        let read = self.kept.of(text, |_| Ok::<_, Infallible>(Config::parse(text)));
        read.unwrap_or_else(|never| match never {})
    }
}

impl Render for Haproxy {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        let (rendering, config) = self.renderer.render_apart(state)?;
        self.kept.keep(rendering.generation, rendering.text.clone(), config);
        Ok(rendering)
    }
}

#[async_trait]
impl Engine for Haproxy {
    fn kind(&self) -> EngineKind {
        EngineKind::Haproxy
    }

    fn version(&self) -> Option<String> {
        Some(self.version.clone())
    }

    fn template(&self) -> Option<&Path> {
        self.renderer.template_path()
    }

    /// A structure that HAProxy passed before is valid with other servers as well: their lines are made of addresses only.
    async fn validate(&self, candidate: &Path) -> Result<(), Failure> {
        let text = fs_err::read_to_string(candidate);
        let text = text.map_err(|e| failure::transient(Step::Validate, e.to_string(), "look at the disk"))?;
        let known = self.taken_apart(&text).map(|(_, config)| config.structure);
        let structure = known.unwrap_or_else(|| Config::parse(&text).structure);
        if self.vouched.covers(structure) {
            self.chores.unchecked.store(true, Ordering::Relaxed);
            return Ok(());
        }
        check::run(&self.binary, candidate, self.commands.as_ref()).await?;
        self.vouched.passed(structure);
        Ok(())
    }

    async fn reload(&self, _: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        let Some((_, wanted)) = self.live_file() else {
            let message = format!("{} is not as tidegate wrote it", self.config_file.display());
            return Err(failure::transient(Step::Reload, message, "keep other programs away from the file"));
        };
        let Some(master) = self.master() else { return self.load(None, wanted).await };
        // One that does not answer is not stuck for ever: the reload gives it a successor.
        let worker = self.runtime.worker().await.ok();
        let serves = |worker: &Worker| worker.info.structure == Some(wanted.structure) && !worker.info.stopping;
        if let Some(worker) = worker.filter(serves) {
            if let Some(leftovers) = self.proof.by_difference(&worker, &wanted).await {
                // Others may be left, of which nobody was asked.
                self.chores.leftovers.fetch_or(leftovers, Ordering::Relaxed);
                return Ok(Box::new(Converged));
            }
            match in_place(&worker, &wanted, &self.proof).await? {
                Reached::All { leftovers } => {
                    self.chores.leftovers.store(leftovers, Ordering::Relaxed);
                    return Ok(Box::new(Converged));
                }
                Reached::TooFar { why } => tracing::info!(why, "HAProxy is reloaded"),
            }
        }
        self.load(Some(master), wanted).await
    }

    async fn serving(&self) -> Serving {
        if let Pulse::Down { reason } = self.pulse() {
            return Serving::Silent { reason };
        }
        let Some((generation, wanted)) = self.live_file() else {
            return Serving::Differs { how: format!("{} is not as tidegate wrote it", self.config_file.display()) };
        };
        let worker = match self.runtime.worker().await {
            Err(failure) => return Serving::Silent { reason: failure.message },
            Ok(worker) => worker,
        };
        if worker.info.structure != Some(wanted.structure) {
            return Serving::Differs { how: "it was started with another configuration".to_owned() };
        }
        if worker.info.stopping {
            return Serving::Differs { how: "it takes no more connections".to_owned() };
        }
        self.proof.forget();
        let live = match worker.live().await {
            Ok(live) => live,
            Err(failure) => return Serving::Silent { reason: failure.message },
        };
        match distance(&live, &wanted).describe() {
            None => {
                self.proof.whole(worker.info.pid, &live, wanted);
                Serving::Exactly(generation)
            }
            Some(how) => Serving::Differs { how },
        }
    }

    async fn stop(&self) -> Result<(), Failure> {
        match self.master() {
            Some(master) => self.end(master).await,
            None => Ok(()),
        }
    }

    fn pulse(&self) -> Pulse {
        match self.master() {
            Some(master) => Pulse::Running { old_generations: master.old_generations() },
            None => Pulse::Down { reason: format!("no HAProxy of {} runs", self.config_file.display()) },
        }
    }

    fn upkeep(&self, broken_off: CancellationToken) -> Option<BoxFuture<'static, ()>> {
        let log = self.paths.log.clone();
        if log_limit::is_exceeded(&log) {
            return Some(blocking(move || log_limit::shorten(&log)).boxed());
        }
        let tidier = move || Tidier {
            chores: self.chores.clone(),
            runtime: self.runtime.clone(),
            vouched: self.vouched.clone(),
            commands: self.commands.clone(),
            binary: self.binary.clone(),
            config_file: self.config_file.clone(),
            broken_off,
        };
        self.chores.are_due().then(|| tidier().run().boxed())
    }

    /// By the kernel, not by `show stat`: workers of earlier configurations count as well, and no worker knows of the others.
    async fn connections(&self, to: HashSet<SocketAddr>) -> Result<Option<Connections>, CountError> {
        Connections::counted(to).await
    }
}
