//! The HTTP client of one agent: which certificates it trusts, and which it shows.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};
use thiserror::Error;
use tidegate_core::class::ErrorClass;

use crate::causes::chain;

/// Why a publisher cannot be set up.
#[derive(Debug, Error)]
pub enum PublisherSetupError {
    /// The URL of the agent.
    #[error("load balancer url {url:?}: {detail}; cure: write https://HOST:PORT")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A file with a certificate or key.
    #[error("reading {what}: {source}; cure: check the path and its permissions")]
    Read {
        /// What should be in it.
        what: &'static str,
        /// The failure, with the path.
        source: std::io::Error,
    },
    /// A certificate or key that is none.
    #[error("{what} in {}: {detail}; cure: the file must be PEM", path.display())]
    Parse {
        /// What should be in it.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Only one half of a client certificate.
    #[error("clientCertFile and clientKeyFile go together: only one of them is set")]
    HalfIdentity,
    /// The client itself.
    #[error("setting up the HTTP client: {detail}")]
    Client {
        /// What the library says.
        detail: String,
    },
}

impl PublisherSetupError {
    /// Whether to retry: never, as only a person can change the configuration.
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// Trusts only this CA when there is one, else what the machine trusts.
pub(super) fn with_ca(builder: ClientBuilder, ca: Option<&Path>) -> Result<ClientBuilder, PublisherSetupError> {
    let Some(path) = ca else { return Ok(builder) };
    let pem = read("the CA certificate (caFile)", path)?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(parse_error("the CA certificate (caFile)", path))?;
    if certificates.is_empty() {
        let (what, detail) = ("the CA certificate (caFile)", "it holds no certificate".to_owned());
        return Err(PublisherSetupError::Parse { what, path: path.to_owned(), detail });
    }
    Ok(builder.tls_certs_only(certificates))
}

/// Shows this certificate to agents that ask for one.
pub(super) fn with_identity(
    builder: ClientBuilder,
    cert: Option<&Path>,
    key: Option<&Path>,
) -> Result<ClientBuilder, PublisherSetupError> {
    let (cert, key) = match (cert, key) {
        (None, None) => return Ok(builder),
        (Some(cert), Some(key)) => (cert, key),
        _ => return Err(PublisherSetupError::HalfIdentity),
    };
    let mut pem = read("the client certificate", cert)?;
    pem.push(b'\n');
    pem.extend(read("the client key", key)?);
    let identity = Identity::from_pem(&pem).map_err(parse_error("the client certificate or its key", cert))?;
    Ok(builder.identity(identity))
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, PublisherSetupError> {
    fs_err::read(path).map_err(|source| PublisherSetupError::Read { what, source })
}

fn parse_error(what: &'static str, path: &Path) -> impl Fn(reqwest::Error) -> PublisherSetupError {
    let path = path.to_owned();
    move |error| PublisherSetupError::Parse { what, path: path.clone(), detail: chain(&error) }
}
