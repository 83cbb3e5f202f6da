//! Asking Envoy, over its unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::answer::{self, Listener, Stats};
use super::endpoints::Member;
use super::http;

/// A dump of 5,000 endpoints takes 0.2 s on a busy machine, anything else a millisecond.
const LIMIT: Duration = Duration::from_secs(5);
/// More than a dump of 100,000 endpoints.
const LONGEST: u64 = 64 * 1024 * 1024;
/// What [`Stats`] are made of.
const STATS: &str = r"^(cluster\..+\.(version_text|update_rejected|update_failure|membership_total|membership_healthy)|cluster_manager\.cds\.(version_text|update_rejected|update_failure)|listener_manager\.(lds\.(version_text|update_rejected|update_failure)|total_listeners_active)|server\.state)$";
/// Gauges that are always up to date, as `server.total_connections` is not.
const CONNECTIONS: &str = r"^cluster\..+\.upstream_cx_active$";

/// An Envoy that does not answer as it should.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Nobody listens.
    #[error("connecting to {}: {source}", socket.display())]
    Connect {
        /// Of the admin interface.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No answer, or half of one.
    #[error("asking envoy for {path}: {source}")]
    Ask {
        /// What was asked.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// An answer that makes no sense.
    #[error("envoy's answer to {path} makes no sense: {detail}")]
    Garbled {
        /// What was asked.
        path: String,
        /// How.
        detail: String,
    },
}

/// The admin interface.
#[derive(Clone, Debug)]
pub struct Admin {
    socket: PathBuf,
}

impl Admin {
    /// At this socket.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Versions, refusals and numbers of backends.
    pub async fn stats(&self) -> Result<Stats, AdminError> {
        let text = self.get(&format!("/stats?filter={}", http::escaped(STATS))).await?;
        Ok(Stats::parse(&text.unwrap_or_default()))
    }

    /// Which process answers.
    pub async fn epoch(&self) -> Result<u32, AdminError> {
        let path = "/server_info";
        let text = self.get(path).await?.unwrap_or_default();
        answer::epoch(&text).map_err(|detail| AdminError::Garbled { path: path.to_owned(), detail })
    }

    /// Listeners, also those that Envoy refused.
    pub async fn listeners(&self) -> Result<Vec<Listener>, AdminError> {
        let path = "/config_dump?resource=dynamic_listeners";
        let text = self.get(path).await?;
        let parsed = text.map_or_else(|| Ok(Vec::new()), |text| answer::listeners(&text));
        parsed.map_err(|detail| AdminError::Garbled { path: path.to_owned(), detail })
    }

    /// The backends of each cluster.
    pub async fn members(&self) -> Result<answer::Members, AdminError> {
        let path = "/config_dump?include_eds&resource=dynamic_endpoint_configs";
        let text = self.get(path).await?;
        let parsed = text.map_or_else(|| Ok(answer::Members::new()), |text| answer::members(&text));
        parsed.map_err(|detail| AdminError::Garbled { path: path.to_owned(), detail })
    }

    /// Lets go of every listening socket at once; connections go on.
    pub async fn drain_listeners(&self) -> Result<(), AdminError> {
        self.ask("POST", "/drain_listeners").await.map(drop)
    }

    /// How many connections it has open to backends; each belongs to one of a client.
    pub async fn connections(&self) -> Result<u64, AdminError> {
        let text = self.get(&format!("/stats?filter={}", http::escaped(CONNECTIONS))).await?;
        Ok(Stats::parse(&text.unwrap_or_default()).total())
    }

    /// The body; nothing for 404, which Envoy answers when there is none of what was asked for.
    async fn get(&self, query: &str) -> Result<Option<String>, AdminError> {
        self.ask("GET", query).await
    }

    async fn ask(&self, method: &str, query: &str) -> Result<Option<String>, AdminError> {
        let asked = tokio::time::timeout(LIMIT, self.exchange(method, query)).await;
        let path = shown(query);
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", LIMIT.as_secs()));
        let bytes = asked.map_err(|_| AdminError::Ask { path: path.to_owned(), source: late() })??;
        let garbled = |detail: String| AdminError::Garbled { path: path.to_owned(), detail };
        let answer = http::parse(&bytes).ok_or_else(|| garbled("it is not whole".to_owned()))?;
        match answer.status {
            200 => String::from_utf8(answer.body).map(Some).map_err(|e| garbled(e.to_string())),
            404 => Ok(None),
            status => Err(garbled(format!("status {status}"))),
        }
    }

    async fn exchange(&self, method: &str, path: &str) -> Result<Vec<u8>, AdminError> {
        let connected = UnixStream::connect(&self.socket).await;
        let failed = |source| AdminError::Connect { socket: self.socket.clone(), source };
        let mut stream = connected.map_err(failed)?;
        let failed = |source| AdminError::Ask { path: shown(path).to_owned(), source };
        stream.write_all(http::request(method, path).as_bytes()).await.map_err(failed)?;
        let mut bytes = Vec::new();
        stream.take(LONGEST).read_to_end(&mut bytes).await.map_err(failed)?;
        Ok(bytes)
    }
}

/// A path without what nobody wants to read.
fn shown(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// How two sets of backends differ, for people.
pub fn difference(
    cluster: &str,
    wanted: &std::collections::BTreeSet<Member>,
    real: &std::collections::BTreeSet<Member>,
) -> Option<String> {
    let shown = |member: &Member| {
        let weight = if member.weight == 1 { String::new() } else { format!(" with weight {}", member.weight) };
        format!("{}{weight}{}", member.address, if member.active { "" } else { " (draining)" })
    };
    if let Some(missing) = wanted.difference(real).next() {
        return Some(format!("cluster {cluster} lacks {}", shown(missing)));
    }
    real.difference(wanted).next().map(|extra| format!("cluster {cluster} has {}, which it should not", shown(extra)))
}
