//! Desired state and template to an HAProxy configuration; pure but for reading the user's own template.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::protocol::Failure;

use super::config::Config;
use super::view::{HaproxyView, Paths};
use crate::engine::paths::PathsError;
use crate::engine::recipe::{Recipe, StandIn};
use crate::engine::{Render, Rendering};
use crate::settings::HaproxySettings;
use crate::template::Vetted;
use crate::template::view::{BackendMemo, ListenerView};

const RECIPE: Recipe = Recipe {
    engine: EngineKind::Haproxy,
    partials: &[
        ("haproxy/preamble.cfg", include_str!("../../../templates/haproxy/preamble.cfg")),
        ("haproxy/defaults.cfg", include_str!("../../../templates/haproxy/defaults.cfg")),
        ("haproxy/listener.cfg", include_str!("../../../templates/haproxy/listener.cfg")),
        ("haproxy/server.cfg", include_str!("../../../templates/haproxy/server.cfg")),
    ],
    built_in: ("haproxy/tcp.cfg", include_str!("../../../templates/haproxy/tcp.cfg")),
    demanded: &[("haproxy/preamble.cfg", "as its first line")],
};

/// Renders for one HAProxy.
#[derive(Debug)]
pub struct Renderer {
    template: Option<PathBuf>,
    memo: BackendMemo,
    view: HaproxyView,
}

#[derive(Serialize)]
struct Context<'a> {
    haproxy: &'a HaproxyView,
    structure: Vetted,
    listeners: &'a [ListenerView],
}

impl Renderer {
    /// For these settings and files.
    pub fn new(settings: &HaproxySettings, paths: &Paths) -> Result<Self, PathsError> {
        Ok(Self {
            template: settings.template.clone(),
            memo: BackendMemo::new("haproxy/server.cfg"),
            view: HaproxyView::new(settings, paths)?,
        })
    }

    /// The user's own template, if there is one.
    pub fn template_path(&self) -> Option<&Path> {
        self.template.as_deref()
    }
}

impl Renderer {
    /// The text, and what it was taken apart into on the way.
    pub fn render_apart(&self, state: &DesiredState) -> Result<(Rendering, Config), Failure> {
        RECIPE.check_supported(state)?;
        let listeners = ListenerView::of(state, Some(&self.memo));
        let backends = listeners.iter().map(ListenerView::len).sum();
        let stand_in = StandIn::new("the structure, before it is known");
        let context = Context { haproxy: &self.view, structure: stand_in.vetted(), listeners: &listeners };
        let text = RECIPE.text(self.template_path(), &context, backends)?;
        let config = Config::parse(&text);
        let text = stand_in.replaced(&text, &config.structure);
        Ok((Recipe::sealed(&StandIn::generation(), &text), config))
    }
}

impl Render for Renderer {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        self.render_apart(state).map(|(rendering, _)| rendering)
    }
}
