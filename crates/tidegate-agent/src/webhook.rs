//! The agent's HTTP server: `POST /v1/desired-state`, `GET /v1/status` (both signed), `/healthz`, `/metrics`.

pub mod body;
mod error;
mod gate;
mod routes;
mod server;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;

use tidegate_core::webhook::Secret;

pub use error::WebhookError;
pub use server::{WebhookServer, serve_webhook};

/// The longest body that is read when nothing else is said: 5,000 nodes are about 0.5 MB.
pub const DEFAULT_MAX_BODY_BYTES: u64 = 8 * 1024 * 1024;

/// Settings of the server.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Any of these may have signed; several while rotating.
    pub secrets: Vec<Secret>,
    /// Longest body, both as it was sent and decompressed.
    pub max_body_bytes: u64,
    /// Absent: plain HTTP (messages are signed, not secret).
    pub tls: Option<TlsSettings>,
}

/// The server's certificate, and whose clients may connect.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// PEM: the certificate, then its chain.
    pub cert_file: PathBuf,
    /// PEM: its private key.
    pub key_file: PathBuf,
    /// PEM: only clients with a certificate of one of these may connect; absent: all may.
    pub client_ca_file: Option<PathBuf>,
}
