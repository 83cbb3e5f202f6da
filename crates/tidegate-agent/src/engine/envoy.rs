//! Envoy, driven by files that it watches, as it was measured to behave (docs/engines.md, section Envoy).
//!
//! The live file is one static bootstrap. A running Envoy reads the same from pieces in the state directory: listeners, clusters
//! and the endpoints of each cluster, each replaced by a rename. Whether it took one is told by the version that it
//! answers, never by a counter of successes. No change of listeners or backends restarts it.

mod admin;
pub mod answer;
mod build;
mod check;
pub mod document;
mod endpoints;
pub mod http;
mod live;
mod paths;
mod process;
mod proof;
mod render;
mod start;
mod update;
mod wanted;
mod watched;
mod words;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;
use tokio_util::sync::CancellationToken;

pub use build::{Build, BuildError};
pub use paths::Paths;
pub use render::{EnvoyView, Renderer};

use super::paths::PathsError;
use super::vouched::Vouched;
use super::{Confirmation, Engine, Pulse, Render, Rendering, Serving, failure, log_limit};
use crate::command::{CommandRunner, located};
use crate::connections::{Connections, CountError};
use crate::pipeline::blocking;
use crate::settings::EnvoySettings;
use admin::Admin;
use check::Checker;
use live::{Live, Reader};
use process::Process;
use proof::{Proof, difference_in_full, shortfall};
use update::Update;

/// Drives one Envoy.
pub struct Envoy {
    config_file: PathBuf,
    paths: Paths,
    build: Build,
    concurrency: Option<NonZeroU16>,
    renderer: Renderer,
    admin: Admin,
    checker: Checker,
    vouched: Arc<Vouched>,
    /// A generation that went live on the word of an earlier check.
    unchecked: Arc<Mutex<Option<ContentHash>>>,
    reader: Arc<Reader>,
    /// Those that were found to run, the newest first.
    running: Mutex<Vec<Process>>,
}

/// An Envoy that cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// Its files would have unusable paths.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// The program does not say what it is.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl EnvoyError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Paths(error) => error.class(),
            Self::Build(error) => error.class(),
        }
    }
}

impl Envoy {
    /// An Envoy of these settings, whose own files live in `state_dir`; asks the program for its version.
    pub async fn new(
        settings: &EnvoySettings,
        state_dir: &Path,
        commands: Arc<dyn CommandRunner>,
    ) -> Result<Self, EnvoyError> {
        let paths = Paths::in_dir(state_dir)?;
        let build = Build::ask(&settings.binary, commands.as_ref()).await?;
        Ok(Self {
            config_file: settings.config_file.clone(),
            renderer: Renderer::new(settings, &paths)?,
            admin: Admin::at(&paths.admin_socket),
            checker: Checker { binary: settings.binary.clone(), commands },
            vouched: Arc::new(Vouched::by(&located(&settings.binary))),
            unchecked: Arc::default(),
            reader: Arc::default(),
            running: Mutex::default(),
            concurrency: settings.concurrency,
            paths,
            build,
        })
    }

    /// What [`Engine::render`] would give, without a program, a file or a process being touched.
    pub fn preview(settings: &EnvoySettings, state_dir: &Path) -> Result<Renderer, EnvoyError> {
        Ok(Renderer::new(settings, &Paths::in_dir(state_dir)?)?)
    }

    /// All that run, the newest first; the process table, which may be long, is only searched when the newest of last time
    /// is gone.
    fn processes(&self) -> Vec<Process> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = running.first().cloned();
        running.retain(|process| process.runs(&self.paths.dir));
        if newest.is_none() || running.first() != newest.as_ref() {
            *running = Process::all(&self.paths.dir);
        }
        running.clone()
    }

    /// The process that accepts connections.
    fn process(&self) -> Option<Process> {
        self.processes().into_iter().next()
    }

    fn remember(&self, newest: Process) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|process| *process != newest);
        running.insert(0, newest);
    }

    async fn read(&self, file: &Path, step: Step) -> Result<Live, Failure> {
        let (reader, paths, file) = (self.reader.clone(), self.paths.clone(), file.to_owned());
        blocking(move || reader.read(&file, &paths, step)).await
    }

    fn note_unchecked(&self, generation: Option<ContentHash>) {
        *self.unchecked.lock().unwrap_or_else(PoisonError::into_inner) = generation;
    }

    /// In a process that was started with this very bootstrap.
    fn fits(&self, process: &Process, live: &Live) -> bool {
        process.key == self.key(live)
    }

    async fn look(&self) -> Result<Serving, Failure> {
        let live = self.read(&self.config_file, Step::Verify).await?;
        let Some(process) = self.process() else {
            return Ok(Serving::Silent { reason: format!("no envoy of {} runs", self.paths.dir.display()) });
        };
        if !self.fits(&process, &live) {
            let how = "envoy was started with another bootstrap, number of threads or version".to_owned();
            return Ok(Serving::Differs { how });
        }
        let stats = self.admin.stats().await.map_err(|e| words::unanswered(Step::Verify, &e))?;
        if let Some(how) = shortfall(&live.wanted, &self.paths, &stats) {
            return Ok(Serving::Differs { how });
        }
        let full = difference_in_full(&live.wanted, &self.admin).await;
        Ok(match full.map_err(|e| words::unanswered(Step::Verify, &e))? {
            Some(how) => Serving::Differs { how },
            None => Serving::Exactly(live.generation),
        })
    }
}

impl Render for Envoy {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        self.renderer.render(state)
    }
}

#[async_trait]
impl Engine for Envoy {
    fn kind(&self) -> EngineKind {
        EngineKind::Envoy
    }

    fn version(&self) -> Option<String> {
        Some(self.build.version.clone())
    }

    fn template(&self) -> Option<&Path> {
        self.renderer.template_path()
    }

    /// A structure that passed before is not checked again at once, but [`Engine::upkeep`] does soon after.
    async fn validate(&self, candidate: &Path) -> Result<(), Failure> {
        let live = self.read(candidate, Step::Validate).await?;
        if self.vouched.covers(live.wanted.structure) {
            self.note_unchecked(Some(live.generation));
            return Ok(());
        }
        self.checker.run(candidate, &self.paths.check("candidate"), Step::Validate).await?;
        self.vouched.passed(live.wanted.structure);
        self.note_unchecked(None);
        Ok(())
    }

    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        let live = self.read(&self.config_file, Step::Reload).await?;
        if live.generation != generation {
            let message = format!("{} does not hold generation {}", self.config_file.display(), generation.short());
            return Err(failure::transient(Step::Reload, message, "keep other programs away from the file"));
        }
        let said = match self.process() {
            Some(process) if self.fits(&process, &live) => {
                Some(Update { admin: &self.admin, paths: &self.paths, wanted: &live.wanted }.run().await?)
            }
            predecessor => {
                self.start(&live, predecessor.as_ref()).await?;
                None
            }
        };
        Ok(Box::new(Proof { live, said, admin: self.admin.clone(), paths: self.paths.clone() }))
    }

    async fn serving(&self) -> Serving {
        self.look().await.unwrap_or_else(|failure| Serving::Silent { reason: failure.message })
    }

    async fn stop(&self) -> Result<(), Failure> {
        process::end_all(&self.paths.dir).await
    }

    async fn retire(&self) -> Result<(), Failure> {
        let drained = self.admin.drain_listeners().await;
        drained.map_err(|e| failure::transient(Step::Reload, e.to_string(), "look at Envoy's log in agent.stateDir"))
    }

    /// It does not end by itself.
    async fn lingers(&self) -> bool {
        self.admin.connections().await.is_ok_and(|open| open > 0)
    }

    fn pulse(&self) -> Pulse {
        match self.processes().len().checked_sub(1) {
            Some(old) => Pulse::Running { old_generations: u64::try_from(old).unwrap_or(u64::MAX) },
            None => Pulse::Down { reason: format!("no envoy of {} runs", self.paths.dir.display()) },
        }
    }

    fn upkeep(&self, broken_off: CancellationToken) -> Option<BoxFuture<'static, ()>> {
        if log_limit::is_exceeded(&self.paths.log) {
            let log = self.paths.log.clone();
            return Some(blocking(move || log_limit::shorten(&log)).boxed());
        }
        let due = (*self.unchecked.lock().unwrap_or_else(PoisonError::into_inner))?;
        let (checker, vouched, reader) = (self.checker.clone(), self.vouched.clone(), self.reader.clone());
        let (file, paths, unchecked) = (self.config_file.clone(), self.paths.clone(), self.unchecked.clone());
        Some(
            async move {
                let check = check_afterwards(&checker, &vouched, &reader, (&file, &paths), due);
                if broken_off.run_until_cancelled(check).await.is_some() {
                    unchecked.lock().unwrap_or_else(PoisonError::into_inner).take_if(|of| *of == due);
                }
            }
            .boxed(),
        )
    }

    /// The kernel's count: it covers a predecessor, of which Envoy's own figures know nothing.
    async fn connections(&self, to: HashSet<SocketAddr>) -> Result<Option<Connections>, CountError> {
        blocking(move || Connections::count(&to)).await.map(Some)
    }
}

/// The whole check of what went live on the word of an earlier one.
async fn check_afterwards(
    checker: &Checker,
    vouched: &Vouched,
    reader: &Reader,
    (file, paths): (&Path, &Paths),
    due: ContentHash,
) {
    let Ok(live) = reader.read(file, paths, Step::Validate) else { return };
    if live.generation != due {
        return;
    }
    if let Err(failure) = checker.run(file, &paths.check("live"), Step::Validate).await {
        vouched.revoke(live.wanted.structure);
        tracing::error!(%failure.message, "envoy serves what its own checker refuses; every change is checked again");
    }
}
