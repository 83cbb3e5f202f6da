//! Certificates from files to a TLS configuration (rustls with ring).

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::{TlsSettings, WebhookError};

const CERTIFICATES: &str =
    "it must hold PEM certificates (-----BEGIN CERTIFICATE-----) and be readable by tidegate's user";
const KEY: &str = "it must hold one PEM private key (-----BEGIN PRIVATE KEY-----) and be readable by tidegate's user";

/// Reads the files; each error names the file and the cure.
pub fn configure(settings: &TlsSettings) -> Result<Arc<ServerConfig>, WebhookError> {
    let chain = certificates("agent.tls.certFile", &settings.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key_file)
        .map_err(|e| pem("agent.tls.keyFile", &settings.key_file, &e, KEY))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let broken =
        |e: rustls::Error| WebhookError::Certificate { cert: settings.cert_file.clone(), detail: e.to_string() };
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(broken)?;
    let builder = match &settings.client_ca_file {
        Some(path) => builder.with_client_cert_verifier(verifier(path)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(broken)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, WebhookError> {
    const SETTING: &str = "agent.tls.clientCaFile";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(SETTING, path)? {
        roots.add(certificate).map_err(|e| pem(SETTING, path, &e, CERTIFICATES))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map(|v| v as Arc<dyn ClientCertVerifier>).map_err(|e| pem(SETTING, path, &e, CERTIFICATES))
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, WebhookError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|e| pem(setting, path, &e, CERTIFICATES))?;
    if certificates.is_empty() {
        Err(pem(setting, path, &"holds no certificate", CERTIFICATES))
    } else {
        Ok(certificates)
    }
}

fn pem(setting: &'static str, path: &Path, detail: &dyn std::fmt::Display, cure: &'static str) -> WebhookError {
    WebhookError::Pem { setting, path: path.to_owned(), detail: detail.to_string(), cure }
}
