//! Desired state and template to an nginx configuration; pure but for reading the user's own template.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::protocol::Failure;

use super::{Build, NginxView, Paths};
use crate::engine::paths::PathsError;
use crate::engine::recipe::{Recipe, StandIn};
use crate::engine::{Render, Rendering};
use crate::settings::NginxSettings;
use crate::template::Vetted;
use crate::template::view::ListenerView;

const RECIPE: Recipe = Recipe {
    engine: EngineKind::Nginx,
    partials: &[
        ("nginx/preamble.conf", include_str!("../../../templates/nginx/preamble.conf")),
        ("nginx/events.conf", include_str!("../../../templates/nginx/events.conf")),
        ("nginx/marker.conf", include_str!("../../../templates/nginx/marker.conf")),
        ("nginx/listener.conf", include_str!("../../../templates/nginx/listener.conf")),
    ],
    built_in: ("nginx/stream.conf", include_str!("../../../templates/nginx/stream.conf")),
    demanded: &[("nginx/preamble.conf", "as its first line"), ("nginx/marker.conf", "inside its stream block")],
};

/// Two for each client, of about 450 bytes each: 7 MB for a worker, taken when it starts.
const WORKER_CONNECTIONS: u32 = 16_384;
/// The connections, and room for listeners, log and channels.
const OPEN_FILES: u32 = WORKER_CONNECTIONS + 1024;

/// Renders for one nginx.
#[derive(Debug)]
pub struct Renderer {
    template: Option<PathBuf>,
    view: NginxView,
}

#[derive(Serialize)]
struct Context<'a> {
    nginx: &'a NginxView,
    generation: Vetted,
    listeners: &'a [ListenerView],
}

impl Renderer {
    /// For these settings and files, with this many workers.
    pub fn new(settings: &NginxSettings, paths: &Paths, build: &Build, workers: u16) -> Result<Self, PathsError> {
        let view = NginxView {
            stream_module: build.stream_module.as_deref().map(Vetted::path).transpose()?,
            pid_file: Vetted::path(&paths.pid_file)?,
            error_log: Vetted::path(&paths.error_log)?,
            marker_socket: Vetted::path(&paths.marker_socket)?,
            workers,
            worker_shutdown_timeout: settings.worker_shutdown_timeout.map(Vetted::from),
            worker_connections: WORKER_CONNECTIONS,
            open_files: OPEN_FILES,
        };
        Ok(Self { template: settings.template.clone(), view })
    }

    /// The user's own template, if there is one.
    pub fn template_path(&self) -> Option<&Path> {
        self.template.as_deref()
    }
}

impl Render for Renderer {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        RECIPE.check_supported(state)?;
        let listeners = ListenerView::of(state, None);
        let backends = listeners.iter().map(ListenerView::len).sum();
        let stand_in = StandIn::generation();
        let context = Context { nginx: &self.view, generation: stand_in.vetted(), listeners: &listeners };
        let text = RECIPE.text(self.template_path(), &context, backends)?;
        Ok(Recipe::sealed(&stand_in, &text))
    }
}
