//! The shipped agent with an engine of its own, told by signed hooks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use fs_err as fs;
use jiff::Timestamp;
use tidegate_core::desired::{Backend, DesiredState, Listener};
use tidegate_core::engine::EngineKind;
use tidegate_core::hash::ContentHash;
use tidegate_core::ids::{ClusterName, ListenerName, NodeName};
use tidegate_core::position::{Position, Revision, Term};
use tidegate_core::probe::Probe;
use tidegate_core::protocol::{ApplyReport, DESIRED_STATE_PATH, Outcome};
use tidegate_core::webhook::{ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign};
use tidegate_testbed::http::Connection;
use tidegate_testbed::process::Process;
use tidegate_testbed::{Host, Lab, deadline, servers};

const AGENT: &str = "127.0.0.1:8686";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const LIMIT: Duration = Duration::from_secs(30);

/// An agent with an engine of its own.
pub struct Agent {
    pub host: Host,
    pub process: Process,
    secret: Secret,
    _lab: Lab,
}

impl Agent {
    pub async fn start(engine: EngineKind, folder: &Path) -> Result<Self> {
        let mut lab = Lab::new()?;
        let host = lab.add_host("lb")?;
        let (secret, config) = (folder.join("webhook.secret"), folder.join("agent.yaml"));
        fs::write(&secret, SECRET)?;
        fs::write(&config, yaml(engine, folder)?)?;
        let (binary, file) = (crate::build::release_binary().display().to_string(), config.display().to_string());
        let process = host.spawn("tidegate agent", &[&binary, "agent", "-c", &file], folder.join("agent.log"))?;
        let agent: SocketAddr = AGENT.parse()?;
        let up = deadline::until("the agent", LIMIT, || async { host.connect(agent).await.ok() }).await;
        up.with_context(|| process.log_tail(20))?;
        Ok(Self { host, process, secret: Secret::parse(SECRET)?, _lab: lab })
    }

    /// A signed request with the state of the first `count` backends, which are asked as `probe` says.
    pub fn hook(&self, revision: u64, count: u16, probe: Probe) -> Result<String> {
        let body = serde_json::to_string(&state(revision, count, probe)?)?;
        let headers =
            sign(std::slice::from_ref(&self.secret), &format!("bench-{revision}"), Timestamp::now(), body.as_bytes());
        Ok(format!(
            "POST {DESIRED_STATE_PATH} HTTP/1.1\r\nHost: {AGENT}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\
             {ID_HEADER}: {}\r\n{TIMESTAMP_HEADER}: {}\r\n{SIGNATURE_HEADER}: {}\r\n\r\n{body}",
            body.len(),
            headers.id,
            headers.timestamp,
            headers.signature,
        ))
    }

    /// Sends it, and gives the agent's answer.
    pub async fn send(&self, hook: &str) -> Result<ApplyReport> {
        let mut connection = Connection::from_stream(self.host.connect(AGENT.parse()?).await?);
        let answer = connection.exchange(hook.as_bytes()).await;
        let answer = answer.map_err(|broken| anyhow!("the agent's answer: {:?}", broken.failure))?;
        let report: ApplyReport = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
        ensure!(report.outcome == Outcome::Applied, "not applied: {}", answer.body);
        Ok(report)
    }
}

fn yaml(engine: EngineKind, folder: &Path) -> Result<String> {
    let keys = match engine {
        EngineKind::Nginx => ", minReloadInterval: 100ms".to_owned(),
        EngineKind::Envoy => format!(", binary: {}", servers::ensure_envoy()?.display()),
        _ => String::new(),
    };
    let folder = folder.display();
    Ok(format!(
        "cluster: {{ name: bench }}
agent:
  listen: {AGENT}
  secretFiles: [{folder}/webhook.secret]
  stateDir: {folder}/state
  engine: {{ {engine}: {{ configFile: {folder}/live.conf{keys} }} }}
"
    ))
}

/// Of a backend.
pub fn address(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 1, high, low).into()
}

fn state(revision: u64, count: u16, probe: Probe) -> Result<DesiredState> {
    let name = ListenerName::parse("http")?;
    let listener = Listener { probe: Some(probe), ..Listener::tcp(name.clone(), "0.0.0.0:80".parse()?, 80) };
    let backend = |number| {
        let node = NodeName::parse(format!("w{number}"))?;
        anyhow::Ok(Backend::active(node, address(number), 80))
    };
    let pool: Vec<Backend> = (0..count).map(backend).collect::<Result<_>>()?;
    let position = Position { term: Term(1), revision: Revision(revision) };
    let mut state = DesiredState {
        cluster: ClusterName::parse("bench")?,
        position,
        hash: ContentHash::of_bytes(b""),
        listeners: vec![listener],
        pools: [(name, pool)].into(),
        overrides: std::collections::BTreeMap::new(),
    };
    state.hash = state.content_hash();
    Ok(state)
}
