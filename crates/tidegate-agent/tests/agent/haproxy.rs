//! What only HAProxy does: changes in place, servers that wait to go, sockets that others answer.

mod foreign;
mod in_place;
mod large;
mod source;
mod starting;
mod template;

use std::net::SocketAddr;

use prometheus_client::registry::Registry;
use tidegate_agent::{Agent, AgentHandle, AgentSettings, EngineSettings, HaproxySettings};

use crate::conformance::haproxy::{Haproxy, ask};
use crate::conformance::site::{Site, settings_in};

/// The name of a backend's server.
fn server(at: SocketAddr) -> String {
    format!("{}_{}", at.ip().to_string().replace(['.', ':'], "-"), at.port())
}

/// The worker that answers: another one after a reload.
fn worker(site: &Site<Haproxy>) -> String {
    let info = ask(site.dir.path(), "show info");
    info.lines().find(|line| line.starts_with("Pid: ")).unwrap().to_owned()
}

/// Columns of a server's line of `show servers state`.
fn state_of(site: &Site<Haproxy>, name: &str) -> Option<Vec<String>> {
    let answer = ask(site.dir.path(), "show servers state");
    let line = answer.lines().find(|line| line.split(' ').nth(3) == Some(name))?;
    Some(line.split(' ').map(str::to_owned).collect())
}

/// An agent with a template of the user's own.
async fn start_with_template(site: &Site<Haproxy>, template: &str) -> AgentHandle {
    let path = site.dir.path().join("own.j2");
    std::fs::write(&path, template).unwrap();
    let haproxy = HaproxySettings { template: Some(path), ..HaproxySettings::new(site.live_file()) };
    let settings =
        AgentSettings { engine: EngineSettings::Haproxy(haproxy), ..settings_in::<Haproxy>(site.dir.path()) };
    Agent::start(settings, None, &mut Registry::default()).await.unwrap()
}
