//! Desired state and template to an nginx configuration; pure but for reading the user's own template.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::{DesiredState, Listener, Protocol, ProxyProtocol};
use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use super::{Build, NginxView, Paths, PathsError};
use crate::engine::Rendering;
use crate::file::seal;
use crate::settings::NginxSettings;
use crate::template::view::ListenerView;
use crate::template::{Template, TemplateError, Vetted};

const PREAMBLE: &str = "nginx/preamble.conf";
const MARKER: &str = "nginx/marker.conf";
const PARTIALS: [(&str, &str); 4] = [
    (PREAMBLE, include_str!("../../../templates/nginx/preamble.conf")),
    ("nginx/events.conf", include_str!("../../../templates/nginx/events.conf")),
    (MARKER, include_str!("../../../templates/nginx/marker.conf")),
    ("nginx/listener.conf", include_str!("../../../templates/nginx/listener.conf")),
];
const BUILT_IN: (&str, &str) = ("nginx/stream.conf", include_str!("../../../templates/nginx/stream.conf"));

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

    /// Renders a state. A user's template is read each time, so that a correction takes effect at the next apply.
    pub fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        state.listeners.iter().try_for_each(check_supported)?;
        let template = self.template()?;
        let listeners = ListenerView::of(state);
        let backends = listeners.iter().map(|l| l.backends.len()).sum();
        // The generation is the hash of the text, which holds the generation: render with a stand-in first.
        let stand_in = ContentHash::of_bytes(b"the generation, before it is known");
        let context = Context { nginx: &self.view, generation: stand_in.into(), listeners: &listeners };
        let text = template.render(&context, backends).map_err(|e| self.failure(&e))?;
        for partial in [PREAMBLE, MARKER] {
            let part = template.render_named(partial, &context, backends).map_err(|e| self.failure(&e))?;
            if !text.contains(part.trim()) {
                return Err(self.lacks(partial));
            }
        }
        let generation = ContentHash::of_bytes(text.as_bytes());
        let body = text.replace(&stand_in.to_string(), &generation.to_string());
        Ok(Rendering { generation, text: seal(&generation, &body) })
    }

    fn template(&self) -> Result<Template, Failure> {
        let Some(path) = &self.template else {
            return Template::parse(&PARTIALS, BUILT_IN).map_err(|e| self.failure(&e));
        };
        let source = fs_err::read_to_string(path).map_err(|e| {
            let cure = "create the file, or leave agent.engine.nginx.template out to use the built-in template";
            permanent(e.to_string(), cure)
        })?;
        Template::parse(&PARTIALS, (&path.to_string_lossy(), &source)).map_err(|e| self.failure(&e))
    }

    fn failure(&self, error: &TemplateError) -> Failure {
        let cure = match &self.template {
            Some(path) => format!("correct {} at that line", path.display()),
            None => "this is a defect of tidegate's built-in template: please report it".to_owned(),
        };
        permanent(error.to_string(), &cure)
    }

    fn lacks(&self, partial: &str) -> Failure {
        let name = self.template.as_ref().map_or_else(|| BUILT_IN.0.to_owned(), |p| p.display().to_string());
        let place = if partial == PREAMBLE { "as its first line" } else { "inside its stream block" };
        let message = format!("template {name} lacks {partial}, without which a reload cannot be verified");
        permanent(message, &format!("write {{% include \"{partial}\" %}} {place}"))
    }
}

/// What no open source nginx of today's distributions can do.
fn check_supported(listener: &Listener) -> Result<(), Failure> {
    let Listener { name, protocol, proxy_protocol, .. } = listener;
    match (proxy_protocol, protocol) {
        (ProxyProtocol::V2, _) => Err(permanent(
            // Sending v2 came with nginx 1.31.4 (August 2026): github.com/nginx/nginx/pull/1204.
            format!("listener {name}: proxyProtocol v2 cannot be sent by nginx's stream module (it sends v1 only)"),
            "set proxyProtocol: v1 and let the ingress accept it (ingress-nginx accepts both), or use another engine",
        )),
        (ProxyProtocol::V1, Protocol::Udp) => Err(permanent(
            format!("listener {name}: PROXY protocol v1 does not exist for UDP"),
            "set proxyProtocol: none on UDP listeners",
        )),
        _ => Ok(()),
    }
}

fn permanent(message: String, cure: &str) -> Failure {
    Failure { step: Step::Render, class: ErrorClass::Permanent, message, cure: cure.to_owned() }
}
