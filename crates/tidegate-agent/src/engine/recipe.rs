//! From a template to a sealed text: what is the same for every engine's renderer.

use std::path::Path;

use serde::Serialize;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::{EngineKind, unsupported};
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::{Rendering, failure};
use crate::file::seal;
use crate::template::{Template, TemplateError, Vetted};

/// The templates of one engine.
#[derive(Debug)]
pub struct Recipe {
    /// Whose.
    pub engine: EngineKind,
    /// What templates can include: name and source.
    pub partials: &'static [(&'static str, &'static str)],
    /// The template that is used unless the user has one: name and source.
    pub built_in: (&'static str, &'static str),
    /// Partials that a user's template must include, each with the place where: `as its first line`.
    pub demanded: &'static [(&'static str, &'static str)],
}

/// What a text is called before its own hash is known.
///
/// The generation is the hash of the text, which holds the generation: it is rendered with a stand-in first.
pub struct StandIn(ContentHash);

impl StandIn {
    /// Stands for what `purpose` names.
    pub fn new(purpose: &str) -> Self {
        Self(ContentHash::of_bytes(purpose.as_bytes()))
    }

    /// Stands for the generation.
    pub fn generation() -> Self {
        Self::new("the generation, before it is known")
    }

    /// As templates see it.
    pub fn vetted(&self) -> Vetted {
        self.0.into()
    }

    /// The text with this instead.
    pub fn replaced(&self, text: &str, by: &ContentHash) -> String {
        text.replace(&self.0.to_string(), &by.to_string())
    }
}

impl Recipe {
    /// Refuses listeners that ask for what the engine cannot do.
    pub fn check_supported(&self, state: &DesiredState) -> Result<(), Failure> {
        let refused = state.listeners.iter().flat_map(|listener| unsupported(self.engine, listener)).next();
        refused.map_or(Ok(()), |refused| {
            let message = format!("listener {}: {refused}", refused.listener);
            Err(failure::permanent(Step::Render, message, refused.cure()))
        })
    }

    /// Renders the user's template, or the built-in one. The user's is read each time, so that a correction takes effect
    /// at the next apply. `backends` bounds how long it may take.
    pub fn text(&self, user: Option<&Path>, context: &impl Serialize, backends: usize) -> Result<String, Failure> {
        let template = self.template(user)?;
        let context = Template::context(context);
        let failed = |error: TemplateError| defect(user, &error);
        let text = template.render(&context, backends).map_err(failed)?;
        for (partial, place) in self.demanded {
            let part = template.render_named(partial, &context, backends).map_err(failed)?;
            if !text.contains(part.trim()) {
                return Err(self.lacks(user, partial, place));
            }
        }
        Ok(text)
    }

    /// The text under the generation that is its hash.
    pub fn sealed(stand_in: &StandIn, text: &str) -> Rendering {
        let generation = ContentHash::of_bytes(text.as_bytes());
        let body = stand_in.replaced(text, &generation);
        Rendering { generation, text: seal(&generation, &body) }
    }

    fn template(&self, user: Option<&Path>) -> Result<Template, Failure> {
        let Some(path) = user else {
            return Template::parse(self.partials, self.built_in).map_err(|e| defect(user, &e));
        };
        let source = fs_err::read_to_string(path).map_err(|e| {
            let cure = match self.engine {
                EngineKind::Custom => "create the file that agent.engine.custom.template names".to_owned(),
                engine => {
                    format!("create the file, or leave agent.engine.{engine}.template out to use the built-in template")
                }
            };
            failure::permanent(Step::Render, e.to_string(), cure)
        })?;
        Template::parse(self.partials, (&path.to_string_lossy(), &source)).map_err(|e| defect(user, &e))
    }

    fn lacks(&self, user: Option<&Path>, partial: &str, place: &str) -> Failure {
        let name = user.map_or_else(|| self.built_in.0.to_owned(), |p| p.display().to_string());
        let message = format!("template {name} lacks {partial}, without which a reload cannot be verified");
        failure::permanent(Step::Render, message, format!("write {{% include \"{partial}\" %}} {place}"))
    }
}

fn defect(user: Option<&Path>, error: &TemplateError) -> Failure {
    let cure = match user {
        Some(path) => format!("correct {} at that line", path.display()),
        None => "this is a defect of tidegate's built-in template: please report it".to_owned(),
    };
    failure::permanent(Step::Render, error.to_string(), cure)
}
