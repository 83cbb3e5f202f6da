//! The HTTP server: what it takes, and why it refuses the rest.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Client, Response};
use tidegate_agent::{AgentHandle, TlsSettings, WebhookServer, WebhookSettings, serve_webhook};
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::{AgentStatus, ApplyReport, Outcome, Refusal};
use tidegate_core::time::after;
use tidegate_core::webhook::{ID_HEADER, SIGNATURE_HEADER, Secret, SignedHeaders, TIMESTAMP_HEADER, TOLERANCE, sign};
use tokio_util::sync::CancellationToken;

use crate::rig::Rig;
use crate::states::{at, listener, state};
use crate::traffic::{answering, backend};

fn secret(byte: u8) -> Secret {
    use std::fmt::Write;
    // Base64 of 36 equal bytes of one letter.
    let mut text = String::from("whsec_");
    for _ in 0..12 {
        write!(text, "{}", char::from(byte).to_string().repeat(4)).unwrap();
    }
    Secret::parse(&text).unwrap()
}

struct Site {
    rig: Rig,
    agent: AgentHandle,
    server: WebhookServer,
    stop: CancellationToken,
    client: Client,
    scheme: &'static str,
}

impl Site {
    async fn new() -> Self {
        Self::with(8 << 20, None).await
    }

    async fn with(max_body_bytes: u64, tls: Option<TlsSettings>) -> Self {
        _ = rustls::crypto::ring::default_provider().install_default();
        let mut rig = Rig::new();
        let agent = rig.start().await;
        let stop = CancellationToken::new();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let settings = WebhookSettings {
            listen: (rig.address, 0).into(),
            secrets: vec![secret(b'A'), secret(b'B')],
            max_body_bytes,
            tls,
        };
        let registry = std::mem::take(&mut rig.registry);
        let server = serve_webhook(agent.clone(), settings, metrics_of(registry), stop.clone()).await.unwrap();
        Self { rig, agent, server, stop, client: Client::builder().no_proxy().build().unwrap(), scheme }
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.server.address())
    }

    async fn post(&self, headers: &SignedHeaders, body: &[u8]) -> Response {
        signed(self.client.post(self.url("/v1/desired-state")), headers).body(body.to_vec()).send().await.unwrap()
    }

    async fn push(&self, id: &str, state: &DesiredState) -> Response {
        let body = serde_json::to_vec(state).unwrap();
        self.post(&sign(&[secret(b'A')], id, Timestamp::now(), &body), &body).await
    }

    fn state(&self, revision: u64) -> (DesiredState, std::net::SocketAddr, std::net::SocketAddr) {
        let (vip, one) = (self.rig.free_port(), backend(self.rig.address));
        (state(revision, vec![(listener("http", vip), vec![at(one)])]), vip, one)
    }
}

fn metrics_of(registry: Registry) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    })
}

fn signed(request: reqwest::RequestBuilder, headers: &SignedHeaders) -> reqwest::RequestBuilder {
    request
        .header(ID_HEADER, &headers.id)
        .header(TIMESTAMP_HEADER, &headers.timestamp)
        .header(SIGNATURE_HEADER, &headers.signature)
}

async fn refusal(response: Response) -> Refusal {
    let status = response.status().as_u16();
    let refusal: Refusal = response.json().await.unwrap();
    assert_eq!(status, refusal.status());
    refusal
}

#[tokio::test]
async fn a_signed_state_goes_live_and_the_status_shows_it() {
    let site = Site::new().await;
    let (wanted, vip, one) = site.state(4);
    let response = site.push("m1", &wanted).await;
    assert_eq!(response.status(), 200);
    let report: ApplyReport = response.json().await.unwrap();
    assert_eq!((report.outcome, report.live.unwrap().hash), (Outcome::Applied, wanted.hash));
    assert_eq!(answering(vip), [one.port()].into());

    // By the second secret of a rotation, twice with one id: reading twice changes nothing.
    let headers = sign(&[secret(b'B')], "s1", Timestamp::now(), b"");
    for _ in 0..2 {
        let request = signed(site.client.get(site.url("/v1/status")), &headers);
        let status: AgentStatus = request.send().await.unwrap().json().await.unwrap();
        assert_eq!((status.live.unwrap().position, status.engine.as_str()), (wanted.position, "nginx"));
        let counted: Vec<_> = status.backends.iter().map(|b| (b.draining, b.connections.is_some())).collect();
        assert_eq!(counted, [(false, true)]);
    }
    let unsigned = site.client.get(site.url("/v1/status")).send().await.unwrap();
    assert_eq!(refusal(unsigned).await.as_str(), "badSignature");
    assert_eq!(site.client.get(site.url("/healthz")).send().await.unwrap().status(), 200);
    let metrics = site.client.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tidegate_hook_total{result=\"applied\"} 1"), "{metrics}");
}

#[tokio::test]
async fn gzip_is_signed_as_it_is_sent() {
    let site = Site::new().await;
    let (wanted, ..) = site.state(1);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&serde_json::to_vec(&wanted).unwrap()).unwrap();
    let body = encoder.finish().unwrap();
    let headers = sign(&[secret(b'A')], "m1", Timestamp::now(), &body);
    let request = signed(site.client.post(site.url("/v1/desired-state")), &headers).body(body);
    let response = request.header("content-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.json::<ApplyReport>().await.unwrap().outcome, Outcome::Applied);

    let body = b"not gzip";
    for encoding in ["gzip", "br"] {
        let headers = sign(&[secret(b'A')], encoding, Timestamp::now(), body);
        let request = signed(site.client.post(site.url("/v1/desired-state")), &headers).body(body.to_vec());
        let refused = refusal(request.header("content-encoding", encoding).send().await.unwrap()).await;
        assert_eq!(refused.as_str(), "malformed", "{refused}");
    }
}

#[tokio::test]
async fn each_bad_message_is_refused_with_its_reason_and_changes_nothing() {
    let site = Site::with(16 * 1024, None).await;
    let (wanted, ..) = site.state(5);
    let body = serde_json::to_vec(&wanted).unwrap();
    let now = Timestamp::now();
    let good = |id: &str, body: &[u8]| sign(&[secret(b'A')], id, now, body);

    let forged = sign(&[secret(b'C')], "m1", now, &body);
    assert_eq!(refusal(site.post(&forged, &body).await).await.as_str(), "badSignature");
    let mut changed = body.clone();
    changed.push(b' ');
    assert_eq!(refusal(site.post(&good("m1", &body), &changed).await).await.as_str(), "badSignature");
    let late = TOLERANCE + std::time::Duration::from_secs(5);
    let old = Timestamp::from_second(now.as_second() - 65).unwrap();
    for at in [old, after(now, late)] {
        let refused = refusal(site.post(&sign(&[secret(b'A')], "m1", at, &body), &body).await).await;
        assert!(matches!(refused, Refusal::Stale { limit: 60, .. }), "{refused}");
    }
    let long = vec![b' '; 16 * 1024 + 1];
    assert_eq!(refusal(site.post(&good("m1", &long), &long).await).await, Refusal::Oversize { limit: 16 * 1024 });
    for (n, text) in ["{", "{}", "", "[]"].into_iter().enumerate() {
        let (id, text) = (format!("malformed-{n}"), text.as_bytes());
        assert_eq!(refusal(site.post(&good(&id, text), text).await).await.as_str(), "malformed");
    }
    assert_eq!(site.agent.status().live, None);
    // None of them used up the id of the real message.
    assert_eq!(site.post(&good("m1", &body), &body).await.status(), 200);
    assert_eq!(refusal(site.post(&good("m1", &body), &body).await).await, Refusal::Replayed { id: "m1".into() });
    // Repeated under a new id it is fine, and nothing has to be done.
    let again: ApplyReport = site.push("m2", &wanted).await.json().await.unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);

    let (older, ..) = site.state(4);
    assert_eq!(refusal(site.push("m3", &older).await).await.as_str(), "olderPosition");
    let (conflict, ..) = site.state(5);
    assert_eq!(refusal(site.push("m4", &conflict).await).await.as_str(), "contentConflict");
    let (mut starving, ..) = site.state(6);
    starving.pools.values_mut().for_each(Vec::clear);
    starving.hash = starving.content_hash();
    assert_eq!(refusal(site.push("m5", &starving).await).await.as_str(), "wouldBeEmpty");
    let (mut foreign, ..) = site.state(6);
    foreign.cluster = tidegate_core::ids::ClusterName::parse("staging").unwrap();
    assert_eq!(refusal(site.push("m6", &foreign).await).await.as_str(), "otherCluster");
    assert_eq!(site.agent.status().live.unwrap().position, wanted.position);
}

#[tokio::test]
async fn a_bomb_is_refused_by_its_real_size() {
    let site = Site::with(64 * 1024, None).await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 32 << 20]).unwrap();
    let body = encoder.finish().unwrap();
    assert!(body.len() < 64 * 1024, "it must pass the first limit: {}", body.len());
    let headers = sign(&[secret(b'A')], "m1", Timestamp::now(), &body);
    let request = signed(site.client.post(site.url("/v1/desired-state")), &headers).body(body);
    let response = request.header("content-encoding", "gzip").send().await.unwrap();
    assert_eq!(refusal(response).await, Refusal::Oversize { limit: 64 * 1024 });
}

#[tokio::test]
async fn hostile_names_and_values_never_get_past_the_parser() {
    let site = Site::new().await;
    let (wanted, ..) = site.state(1);
    let text = serde_json::to_string(&wanted).unwrap();
    let node = wanted.pools.values().flatten().next().unwrap().node.to_string();
    let hostile = ["a;b", "a\\nb", "a b", "a{b", "a}b", "a#b", "a$b", "\\u0000", "../../etc", "a\\\"b", ""];
    for (n, bad) in hostile.iter().enumerate() {
        for (place, from) in [("name", "\"http\"".to_owned()), ("node", format!("\"{node}\""))] {
            let body = text.replace(&from, &format!("\"{bad}\""));
            assert_ne!(body, text);
            let id = format!("{place}{n}");
            let headers = sign(&[secret(b'A')], &id, Timestamp::now(), body.as_bytes());
            let refused = refusal(site.post(&headers, body.as_bytes()).await).await;
            assert_eq!(refused.as_str(), "malformed", "{place} {bad:?}: {refused}");
        }
    }
    let bad = text.replace("\"targetPort\":80", "\"targetPort\":\"80; include /etc/passwd\"");
    assert_ne!(bad, text);
    let headers = sign(&[secret(b'A')], "port", Timestamp::now(), bad.as_bytes());
    assert_eq!(refusal(site.post(&headers, bad.as_bytes()).await).await.as_str(), "malformed");
    assert_eq!(site.rig.conf_dir(), Vec::<String>::new());
}

struct Pki {
    dir: tempfile::TempDir,
    ca_pem: String,
    client_pem: String,
}

impl Pki {
    fn new(address: std::net::Ipv4Addr) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |name: String| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![name]).unwrap().signed_by(&key, &ca).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = issue(address.to_string());
        for (name, text) in [("tls.crt", &cert), ("tls.key", &key), ("ca.crt", &ca.pem())] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let (cert, key) = issue("controller".to_owned());
        Self { dir, ca_pem: ca.pem(), client_pem: cert + &key }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn settings(&self, client_ca: bool) -> TlsSettings {
        TlsSettings {
            cert_file: self.file("tls.crt"),
            key_file: self.file("tls.key"),
            client_ca_file: client_ca.then(|| self.file("ca.crt")),
        }
    }

    fn client(&self, identity: bool) -> Client {
        let ca = reqwest::Certificate::from_pem(self.ca_pem.as_bytes()).unwrap();
        let builder = Client::builder().no_proxy().tls_certs_only([ca]);
        let builder = if identity {
            builder.identity(reqwest::Identity::from_pem(self.client_pem.as_bytes()).unwrap())
        } else {
            builder
        };
        builder.build().unwrap()
    }
}

/// The server's address is only known once it listens, so its certificate names every address of the test.
async fn tls_site(client_ca: bool) -> (Site, Pki) {
    _ = rustls::crypto::ring::default_provider().install_default();
    let rig = Rig::new();
    let pki = Pki::new(rig.address);
    let stop = CancellationToken::new();
    let mut rig = rig;
    let agent = rig.start().await;
    let settings = WebhookSettings {
        listen: (rig.address, 0).into(),
        secrets: vec![secret(b'A')],
        max_body_bytes: 8 << 20,
        tls: Some(pki.settings(client_ca)),
    };
    let server = serve_webhook(agent.clone(), settings, Arc::new(String::new), stop.clone()).await.unwrap();
    let client = pki.client(true);
    (Site { rig, agent, server, stop, client, scheme: "https" }, pki)
}

#[tokio::test]
async fn tls_serves_the_certificate_and_asks_for_the_clients_when_told_so() {
    let (site, pki) = tls_site(false).await;
    let anonymous = pki.client(false);
    assert_eq!(anonymous.get(site.url("/healthz")).send().await.unwrap().status(), 200);
    assert!(Client::builder().no_proxy().build().unwrap().get(site.url("/healthz")).send().await.is_err());

    let (site, pki) = tls_site(true).await;
    let (wanted, ..) = site.state(1);
    assert!(pki.client(false).get(site.url("/healthz")).send().await.is_err());
    let report: ApplyReport = site.push("m1", &wanted).await.json().await.unwrap();
    assert_eq!(report.outcome, Outcome::Applied);
}

#[tokio::test]
async fn the_server_stops_when_told_and_leaves_its_port() {
    let site = Site::new().await;
    let address = site.server.address();
    site.stop.cancel();
    site.server.stopped().await;
    // What another test forks just now holds a copy of the socket until its exec closes it.
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = std::net::TcpListener::bind(address) {
        assert!(Instant::now() < deadline, "the port is still taken: {error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn errors_at_the_start_name_the_file_and_the_cure() {
    let mut rig = Rig::new();
    let agent = rig.start().await;
    let pki = Pki::new(rig.address);
    let other = Pki::new(rig.address);
    std::fs::write(pki.file("empty"), "").unwrap();
    let try_with = async |tls: Option<TlsSettings>, secrets: Vec<Secret>, listen| {
        let settings = WebhookSettings { listen, secrets, max_body_bytes: 1024, tls };
        let stop = CancellationToken::new();
        serve_webhook(agent.clone(), settings, Arc::new(String::new), stop).await.err().unwrap().to_string()
    };
    let free = (rig.address, 0).into();
    let with = |change: &dyn Fn(&mut TlsSettings, &Path)| {
        let mut tls = pki.settings(true);
        change(&mut tls, pki.dir.path());
        Some(tls)
    };
    let cases = [
        (with(&|t, d| t.cert_file = d.join("missing")), "certFile", "missing"),
        (with(&|t, d| t.cert_file = d.join("empty")), "certFile", "empty"),
        (with(&|t, d| t.key_file = d.join("tls.crt")), "keyFile", "tls.crt"),
        (with(&|t, d| t.client_ca_file = Some(d.join("tls.key"))), "clientCaFile", "tls.key"),
        (with(&|t, _| t.key_file = other.file("tls.key")), "agent.tls", "tls.crt"),
    ];
    for (tls, setting, file) in cases {
        let error = try_with(tls, vec![secret(b'A')], free).await;
        assert!(error.contains(setting) && error.contains(file) && error.contains("cure:"), "{error}");
    }
    assert!(try_with(None, vec![], free).await.contains("secretFiles"));
    let squatter = std::net::TcpListener::bind(free).unwrap();
    let taken = squatter.local_addr().unwrap();
    let error = try_with(None, vec![secret(b'A')], taken).await;
    assert!(error.contains(&taken.to_string()) && error.contains("agent.listen"), "{error}");
    drop(squatter);
}
