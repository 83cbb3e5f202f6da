//! Asking each backend itself whether it answers: what is asked, what the answers add up to, and whom that may take out.
//!
//! The agent asks (Kubernetes notices a dead kubelet after 50 s, `--node-monitor-grace-period`); the verdict is local to
//! its machine, an [`Overlay`] on the desired state. Everything that decides is here.

mod overlay;
mod roll;
mod tally;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use overlay::Overlay;
pub use roll::{Asked, Judgement, ProbeHold, Roll};
pub use tally::{Answer, Tally, Verdict};

use crate::desired::{Backend, Listener, Protocol};
use crate::millis;

/// The path of an HTTP request: what may stand in a request line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpPath(String);

impl HttpPath {
    /// Reads one: it begins with `/` and has only visible ASCII characters, at most 1,024 of them.
    pub fn parse(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        if !text.starts_with('/') {
            return Err(format!("{text:?} does not begin with /"));
        }
        match text.chars().find(|c| !c.is_ascii_graphic()) {
            Some(c) => Err(format!("{text:?} contains {c:?}: write it percent-encoded")),
            None if text.len() > 1024 => Err("longer than 1,024 characters".to_owned()),
            None => Ok(Self(text)),
        }
    }

    /// As it stands in the request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for HttpPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl TryFrom<String> for HttpPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl From<HttpPath> for String {
    fn from(path: HttpPath) -> Self {
        path.0
    }
}

/// What is asked of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// To accept a connection. A process that hangs still passes: the kernel accepts for it.
    #[default]
    Tcp,
    /// To answer `GET` of this path with a status from 200 to 399.
    Http(HttpPath),
    /// The same over TLS. Whose certificate it is does not matter, as with a kubelet's probes.
    Https(HttpPath),
}

/// How a listener's backends are asked; durations are milliseconds on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// What is asked; nothing: the backends are believed to be well.
    pub check: Option<Check>,
    /// Which port; absent: the one that receives the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<NonZeroU16>,
    /// How often, and how patiently.
    #[serde(flatten)]
    pub pace: Pace,
}

/// How often a backend is asked, and how many answers make a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// From one question to the next.
    #[serde(rename = "intervalMillis", with = "millis")]
    pub interval: Duration,
    /// How long an answer may take.
    #[serde(rename = "timeoutMillis", with = "millis")]
    pub timeout: Duration,
    /// Failures in a row that take a backend out.
    pub fall: u8,
    /// Answers in a row that bring it back.
    pub rise: u8,
}

impl Default for Pace {
    /// A crash that nothing answers for is seen within 850 ms: 250 to the next question, then three times 200.
    fn default() -> Self {
        Self { interval: Duration::from_millis(250), timeout: Duration::from_millis(200), fall: 3, rise: 2 }
    }
}

impl Pace {
    /// When to ask again, counted from the start of a question that took `took`. A failure is looked into sooner: a
    /// verdict should not wait for a calm rhythm, nor rest on one blink of an ingress that restarts.
    pub fn next(&self, passed: bool, took: Duration) -> Duration {
        let least = if passed { self.interval } else { self.interval / 2 };
        least.max(took)
    }
}

impl Probe {
    /// Nothing is asked.
    pub fn none() -> Self {
        Self { check: None, port: None, pace: Pace::default() }
    }

    /// What is done for a listener whose configuration says nothing: TCP backends are asked to accept, and datagrams
    /// cannot be asked.
    pub fn of_protocol(protocol: Protocol) -> Self {
        let check = (protocol == Protocol::Tcp).then_some(Check::Tcp);
        Self { check, port: None, pace: Pace::default() }
    }

    /// Whom to ask about a backend; nobody when nothing is asked.
    pub fn target(&self, backend: &Backend) -> Option<Target> {
        let port = self.port.map_or(backend.port, NonZeroU16::get);
        let address = SocketAddr::new(backend.address, port);
        self.check.clone().map(|check| Target { address, check, pace: self.pace })
    }
}

impl Listener {
    /// How its backends are asked.
    pub fn probing(&self) -> Probe {
        self.probe.clone().unwrap_or_else(|| Probe::of_protocol(self.protocol))
    }
}

/// One backend's answering end. Listeners that ask the same of the same end share its answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    /// What.
    pub check: Check,
    /// How often.
    pub pace: Pace,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.check {
            Check::Tcp => write!(f, "tcp connect to {}", self.address),
            Check::Http(path) => write!(f, "GET http://{}{}", self.address, path.as_str()),
            Check::Https(path) => write!(f, "GET https://{}{}", self.address, path.as_str()),
        }
    }
}
