//! Anything else: the user's template and commands.
//!
//! Commands are lists of arguments, never a shell's text, and each has a limit on time. `{file}` in an argument stands for
//! the file that is meant (the candidate while it is checked), `{generation}` for the generation that its text holds.

mod argv;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::recipe::{Recipe, StandIn};
use super::{Confirmation, Engine, Pulse, Render, Rendering, Serving, failure};
use crate::command::CommandRunner;
use crate::file::{Seal, unseal};
use crate::settings::CustomSettings;
use crate::template::Vetted;
use crate::template::view::ListenerView;
use argv::{About, Argv};

/// Only the user's own template.
const RECIPE: Recipe = Recipe { engine: EngineKind::Custom, partials: &[], built_in: ("custom", ""), demanded: &[] };

/// Drives what the user's commands drive.
pub struct Custom {
    renderer: Renderer,
    output: PathBuf,
    check: Argv,
    load: Arc<Load>,
    stop: Option<Argv>,
    commands: Arc<dyn CommandRunner>,
}

/// The commands that bring a file live and prove it.
struct Load {
    reload: Argv,
    verify: Argv,
}

impl Custom {
    /// With these commands.
    pub fn new(settings: &CustomSettings, commands: Arc<dyn CommandRunner>) -> Self {
        let argv = |name: &'static str, list: &[String]| Argv::new(name, list, settings.timeout);
        let load = Load { reload: argv("reload", &settings.reload), verify: argv("verify", &settings.verify) };
        Self {
            renderer: Renderer::new(settings),
            output: settings.output.clone(),
            check: argv("check", &settings.check),
            load: Arc::new(load),
            stop: settings.stop.as_deref().map(|stop| argv("stop", stop)),
            commands,
        }
    }

    fn about(&self, generation: ContentHash) -> About<'_> {
        About { file: &self.output, generation }
    }

    /// What is at the live path, when it is ours.
    fn generation_on_disk(&self) -> Option<ContentHash> {
        match unseal(&std::fs::read_to_string(&self.output).ok()?) {
            Seal::Whole(generation) => Some(generation),
            Seal::Broken | Seal::Missing => None,
        }
    }
}

/// Renders the user's template.
#[derive(Debug)]
pub struct Renderer {
    template: PathBuf,
}

#[derive(Serialize)]
struct Context<'a> {
    generation: Vetted,
    listeners: &'a [ListenerView],
}

impl Renderer {
    /// Of these settings.
    pub fn new(settings: &CustomSettings) -> Self {
        Self { template: settings.template.clone() }
    }
}

impl Render for Renderer {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        RECIPE.check_supported(state)?;
        let listeners = ListenerView::of(state, None);
        let backends = listeners.iter().map(ListenerView::len).sum();
        let stand_in = StandIn::generation();
        let context = Context { generation: stand_in.vetted(), listeners: &listeners };
        let text = RECIPE.text(Some(&self.template), &context, backends)?;
        Ok(Recipe::sealed(&stand_in, &text))
    }
}

impl Render for Custom {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        self.renderer.render(state)
    }
}

#[async_trait]
impl Engine for Custom {
    fn kind(&self) -> EngineKind {
        EngineKind::Custom
    }

    fn version(&self) -> Option<String> {
        None
    }

    fn template(&self) -> Option<&Path> {
        Some(&self.renderer.template)
    }

    async fn validate(&self, candidate: &Path) -> Result<(), Failure> {
        let text = fs_err::read_to_string(candidate);
        let text = text.map_err(|e| failure::transient(Step::Validate, e.to_string(), "free the disk (df -h)"))?;
        let Seal::Whole(generation) = unseal(&text) else {
            let message = format!("{} is not as tidegate wrote it", candidate.display());
            return Err(failure::transient(Step::Validate, message, "keep other programs away from the file"));
        };
        let about = About { file: candidate, generation };
        self.check.run(Step::Validate, &about, self.commands.as_ref()).await
    }

    async fn reload(&self, generation: ContentHash) -> Result<Box<dyn Confirmation>, Failure> {
        self.load.reload.run(Step::Reload, &self.about(generation), self.commands.as_ref()).await?;
        let (load, output, commands) = (self.load.clone(), self.output.clone(), self.commands.clone());
        Ok(Box::new(Verify { load, output, commands, generation }))
    }

    /// The user's `verify` is asked about the generation at the live path.
    async fn serving(&self) -> Serving {
        let Some(generation) = self.generation_on_disk() else {
            return Serving::Silent { reason: format!("{} holds nothing of tidegate's", self.output.display()) };
        };
        match self.load.verify.ask(&self.about(generation), self.commands.as_ref()).await {
            Ok(None) => Serving::Exactly(generation),
            Ok(Some(refusal)) => Serving::Differs { how: refusal },
            Err(error) => Serving::Silent { reason: error.to_string() },
        }
    }

    async fn stop(&self) -> Result<(), Failure> {
        let Some(stop) = &self.stop else { return Ok(()) };
        let generation = self.generation_on_disk().unwrap_or_else(|| ContentHash::of_bytes(b""));
        stop.run(Step::Reload, &self.about(generation), self.commands.as_ref()).await
    }

    /// No process is known: whether it runs is the user's concern, and what it serves is asked by every audit.
    fn pulse(&self) -> Pulse {
        match self.generation_on_disk() {
            Some(_) => Pulse::Running { old_generations: 0 },
            None => Pulse::Down { reason: format!("{} holds nothing of tidegate's", self.output.display()) },
        }
    }
}

struct Verify {
    load: Arc<Load>,
    output: PathBuf,
    commands: Arc<dyn CommandRunner>,
    generation: ContentHash,
}

#[async_trait]
impl Confirmation for Verify {
    async fn confirm(self: Box<Self>) -> Result<(), Failure> {
        let about = About { file: &self.output, generation: self.generation };
        self.load.verify.run(Step::Verify, &about, self.commands.as_ref()).await
    }
}
