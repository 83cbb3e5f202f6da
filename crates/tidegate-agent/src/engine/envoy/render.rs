//! Desired state and template to an Envoy configuration; pure but for reading the user's own template.
//!
//! The text is a whole static bootstrap: a person can read it, and Envoy's own checker too. What Envoy serves is the same
//! in pieces that it watches ([`super::wanted`]).

use std::path::{Path, PathBuf};

use serde::Serialize;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::protocol::Failure;

use super::Paths;
use crate::engine::paths::PathsError;
use crate::engine::recipe::{Recipe, StandIn};
use crate::engine::{Render, Rendering};
use crate::settings::EnvoySettings;
use crate::template::Vetted;
use crate::template::view::{BackendMemo, ListenerView};

const RECIPE: Recipe = Recipe {
    engine: EngineKind::Envoy,
    partials: &[
        ("envoy/admin.json", include_str!("../../../templates/envoy/admin.json")),
        ("envoy/listener.json", include_str!("../../../templates/envoy/listener.json")),
        ("envoy/cluster.json", include_str!("../../../templates/envoy/cluster.json")),
        ("envoy/endpoint.json", include_str!("../../../templates/envoy/endpoint.json")),
    ],
    built_in: ("envoy/envoy.json", include_str!("../../../templates/envoy/envoy.json")),
    demanded: &[("envoy/admin.json", "as a member of its outermost object")],
};

/// Of connections and the like: Envoy's own default of 1,024 for a pool is a limit that nobody asked for.
const MOST: u32 = 1_000_000_000;

/// `envoy` in templates.
#[derive(Clone, Debug, Serialize)]
pub struct EnvoyView {
    /// See [`Paths::admin_socket`].
    pub admin_socket: Vetted,
    /// A limit that is none.
    pub most: u32,
}

/// Renders for one Envoy.
#[derive(Debug)]
pub struct Renderer {
    template: Option<PathBuf>,
    memo: BackendMemo,
    view: EnvoyView,
}

#[derive(Serialize)]
struct Context<'a> {
    envoy: &'a EnvoyView,
    listeners: &'a [ListenerView],
}

impl Renderer {
    /// For these settings and files.
    pub fn new(settings: &EnvoySettings, paths: &Paths) -> Result<Self, PathsError> {
        let view = EnvoyView { admin_socket: Vetted::path(&paths.admin_socket)?, most: MOST };
        Ok(Self { template: settings.template.clone(), memo: BackendMemo::new("envoy/endpoint.json"), view })
    }

    /// The user's own template, if there is one.
    pub fn template_path(&self) -> Option<&Path> {
        self.template.as_deref()
    }
}

impl Render for Renderer {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        RECIPE.check_supported(state)?;
        let listeners = ListenerView::of(state, Some(&self.memo));
        let backends = listeners.iter().map(ListenerView::len).sum();
        let context = Context { envoy: &self.view, listeners: &listeners };
        let text = RECIPE.text(self.template_path(), &context, backends)?;
        Ok(Recipe::sealed(&StandIn::generation(), &text))
    }
}
