//! A connection that stays open for long, as a download or a websocket does.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::http::{self, Connection, Failure};
use crate::lab::Host;

/// A stream of an hour from the ingress, some bytes per second.
#[derive(Debug)]
pub struct LongLived {
    connection: Connection,
}

impl LongLived {
    /// Connects from `host` and waits for the first bytes.
    pub async fn open(host: &Host, target: SocketAddr) -> Result<Self> {
        let mut connection = Connection::from_stream(host.connect(target).await?);
        connection.send(&http::get(target, "/slow/3600", true)).await.context("asking for a stream")?;
        let mut long = Self { connection };
        long.check(Duration::from_secs(10)).await.map_err(|failure| anyhow!("no stream: {failure:?}"))?;
        Ok(long)
    }

    /// Whether bytes still arrive: waits for the next ones. Bytes that had arrived before do not
    /// count, so this takes about a second.
    pub async fn check(&mut self, limit: Duration) -> Result<(), Failure> {
        self.connection.drain().map_err(|error| Failure::from(&error))?;
        match tokio::time::timeout(limit, self.connection.read_more()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::from(&error)),
            Err(_) => Err(Failure::Timeout),
        }
    }
}
