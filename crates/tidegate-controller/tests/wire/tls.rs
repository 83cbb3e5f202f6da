//! A private CA, and agents that ask who is there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tidegate_controller::{HttpPublisher, HttpPublisherSettings, PublishError, Publisher};

use crate::publisher::{Received, publisher_settings, small_agent, state};

struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self { ca, files: tempfile::tempdir().unwrap() };
        std::fs::write(pki.path("ca.crt"), pki.ca.pem()).unwrap();
        let (cert, key) = pki.issue("controller");
        std::fs::write(pki.path("client.crt"), cert).unwrap();
        std::fs::write(pki.path("client.key"), key).unwrap();
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Certificate and key, as PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.ca).unwrap().pem(), key.serialize_pem())
    }

    fn server_config(&self, asks_who: bool) -> rustls::ServerConfig {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let (cert, key) = self.issue("localhost");
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks_who {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.ca.pem().as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        builder.with_single_cert(chain, key).unwrap()
    }

    async fn serve(&self, asks_who: bool) -> String {
        let handle = axum_server::Handle::<SocketAddr>::new();
        let config = RustlsConfig::from_config(Arc::new(self.server_config(asks_who)));
        let server = axum_server::bind_rustls("127.0.0.1:0".parse().unwrap(), config).handle(handle.clone());
        tokio::spawn(server.serve(small_agent(Received::default()).into_make_service()));
        format!("https://localhost:{}", handle.listening().await.unwrap().port())
    }

    fn settings(&self, url: String) -> HttpPublisherSettings {
        HttpPublisherSettings { ca_file: Some(self.path("ca.crt")), ..publisher_settings(url) }
    }
}

#[tokio::test]
async fn a_private_ca_is_trusted_and_only_that() {
    let pki = Pki::new();
    let url = pki.serve(false).await;
    assert!(HttpPublisher::new(pki.settings(url.clone())).unwrap().push(&state()).await.is_ok());
    let stranger = Pki::new();
    for settings in [stranger.settings(url.clone()), publisher_settings(url)] {
        let error = HttpPublisher::new(settings).unwrap().push(&state()).await.unwrap_err();
        assert!(matches!(error, PublishError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("certificate"), "it should say that it is the certificate: {error}");
    }
}

#[tokio::test]
async fn an_agent_that_asks_who_is_there_is_shown_the_client_certificate() {
    let pki = Pki::new();
    let url = pki.serve(true).await;
    let error = HttpPublisher::new(pki.settings(url.clone())).unwrap().push(&state()).await.unwrap_err();
    assert!(matches!(error, PublishError::Unreachable { .. }), "{error}");
    let (client_cert_file, client_key_file) = (Some(pki.path("client.crt")), Some(pki.path("client.key")));
    let settings = HttpPublisherSettings { client_cert_file, client_key_file, ..pki.settings(url) };
    assert!(HttpPublisher::new(settings).unwrap().push(&state()).await.is_ok());
}
