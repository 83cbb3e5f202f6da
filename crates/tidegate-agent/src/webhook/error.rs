//! Why the HTTP server cannot start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use tidegate_core::class::ErrorClass;

/// An HTTP server that cannot start.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// Nobody could be told from anybody else.
    #[error("the webhook has no secret; cure: name at least one file in agent.secretFiles")]
    NoSecret,
    /// The address cannot be used.
    #[error(
        "listening on {address}: {source}; cure: choose another agent.listen, or end the program that has it (`ss -lntp`)"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A certificate or key file cannot be read.
    #[error("{setting} {}: {detail}; cure: {cure}", path.display())]
    Pem {
        /// Its name in the configuration.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
        /// What a person can do.
        cure: &'static str,
    },
    /// Certificate and key do not make a server.
    #[error("agent.tls of {}: {detail}; cure: certFile and keyFile must belong together (compare `openssl x509 -pubkey -noout` with `openssl pkey -pubout`)", cert.display())]
    Certificate {
        /// The certificate's file.
        cert: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

impl WebhookError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Listen { .. } => ErrorClass::Transient,
            Self::NoSecret | Self::Pem { .. } | Self::Certificate { .. } => ErrorClass::Permanent,
        }
    }
}
