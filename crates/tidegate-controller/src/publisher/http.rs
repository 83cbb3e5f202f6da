//! The webhook client: messages signed as [`tidegate_core::webhook`] says, over HTTP(S).

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use reqwest::{Client, Method, Response, Url};
use serde::de::DeserializeOwned;
use tidegate_core::desired::DesiredState;
use tidegate_core::ids::LoadBalancerName;
use tidegate_core::protocol::{AgentStatus, ApplyReport, DESIRED_STATE_PATH, Refusal, STATUS_PATH};
use tidegate_core::webhook::{ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign};

use super::tls::{with_ca, with_identity};
use super::{PublishError, Publisher, PublisherSetupError};
use crate::causes::chain;

/// A status of 5,000 nodes behind ten listeners is about 6 MiB; more than this is no answer of ours.
const ANSWER_LIMIT: usize = 32 << 20;
/// A machine on the same network answers a SYN within this, or it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Larger states are compressed: the JSON of 5,000 nodes is 0.5 MB that says the same again and again.
const COMPRESS_FROM: usize = 32 << 10;

/// Where an agent is and how to talk to it.
#[derive(Clone, Debug)]
pub struct HttpPublisherSettings {
    /// The load balancer as the configuration names it.
    pub name: LoadBalancerName,
    /// `https://HOST:PORT` of its agent.
    pub url: String,
    /// Every message is signed with each of them.
    pub secrets: Vec<Secret>,
    /// The only CA that is trusted; none: what the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Shown to agents that ask for a client certificate.
    pub client_cert_file: Option<PathBuf>,
    /// Key of that certificate.
    pub client_key_file: Option<PathBuf>,
    /// For a whole message and its answer, which comes when the state has been applied.
    pub timeout: Duration,
}

/// An agent that is reached over HTTP.
pub struct HttpPublisher {
    name: LoadBalancerName,
    push_url: Url,
    status_url: Url,
    secrets: Vec<Secret>,
    client: Client,
    ids: MessageIds,
}

impl HttpPublisher {
    /// Reads the files that the settings name; nothing is sent.
    pub fn new(settings: HttpPublisherSettings) -> Result<Self, PublisherSetupError> {
        // rustls wants one provider of algorithms in each process; a second call changes nothing.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(settings.timeout);
        let builder = with_ca(builder, settings.ca_file.as_deref())?;
        let builder =
            with_identity(builder, settings.client_cert_file.as_deref(), settings.client_key_file.as_deref())?;
        let client = builder.build().map_err(|e| PublisherSetupError::Client { detail: chain(&e) })?;
        Ok(Self {
            push_url: join(&settings.url, DESIRED_STATE_PATH)?,
            status_url: join(&settings.url, STATUS_PATH)?,
            name: settings.name,
            secrets: settings.secrets,
            client,
            ids: MessageIds::default(),
        })
    }

    /// Signs the bytes as they are sent, so the agent verifies before it decompresses.
    async fn exchange<T: DeserializeOwned>(&self, method: Method, url: &Url, body: Vec<u8>) -> Result<T, PublishError> {
        let (body, compressed) = compress(body);
        let headers = sign(&self.secrets, &self.ids.next(), Timestamp::now(), &body);
        let mut request = self
            .client
            .request(method, url.clone())
            .header(ID_HEADER, headers.id)
            .header(TIMESTAMP_HEADER, headers.timestamp)
            .header(SIGNATURE_HEADER, headers.signature);
        if compressed {
            request = request.header(reqwest::header::CONTENT_ENCODING, "gzip");
        }
        if !body.is_empty() {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|e| unreachable_at(url, &e))?;
        read_answer(url, response).await
    }
}

#[async_trait]
impl Publisher for HttpPublisher {
    fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    async fn push(&self, state: &DesiredState) -> Result<ApplyReport, PublishError> {
        let body = serde_json::to_vec(state).map_err(|e| PublishError::Protocol {
            url: self.push_url.to_string(),
            status: 0,
            detail: format!("the state cannot be written as JSON: {e}"),
        })?;
        self.exchange(Method::POST, &self.push_url, body).await
    }

    async fn status(&self) -> Result<AgentStatus, PublishError> {
        self.exchange(Method::GET, &self.status_url, Vec::new()).await
    }
}

/// The body to send, and whether it is compressed.
fn compress(body: Vec<u8>) -> (Vec<u8>, bool) {
    if body.len() < COMPRESS_FROM {
        return (body, false);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(compressed) => (compressed, true),
        // Memory is all that could be wrong; the plain body is as good.
        Err(_) => (body, false),
    }
}

async fn read_answer<T: DeserializeOwned>(url: &Url, mut response: Response) -> Result<T, PublishError> {
    let status = response.status();
    let protocol = |detail: String| PublishError::Protocol { url: url.to_string(), status: status.as_u16(), detail };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable_at(url, &e))? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(protocol(format!("the answer is larger than {ANSWER_LIMIT} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|e| protocol(format!("the answer cannot be read: {e}")));
    }
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) => Err(PublishError::Refused { url: url.to_string(), refusal }),
        Err(_) => Err(protocol(String::from_utf8_lossy(&body).chars().take(200).collect())),
    }
}

fn unreachable_at(url: &Url, error: &reqwest::Error) -> PublishError {
    PublishError::Unreachable { url: url.to_string(), detail: chain(error) }
}

fn join(base: &str, path: &str) -> Result<Url, PublisherSetupError> {
    let fail = |detail: String| PublisherSetupError::Url { url: base.to_owned(), detail };
    let url = Url::parse(base).map_err(|e| fail(e.to_string()))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(fail("it is not an http or https URL".to_owned()));
    }
    Url::parse(&format!("{}{path}", base.trim_end_matches('/'))).map_err(|e| fail(e.to_string()))
}

/// A name for each message: an agent takes each only once, so that a recorded one is worth nothing.
struct MessageIds {
    process: String,
    count: AtomicU64,
}

impl Default for MessageIds {
    fn default() -> Self {
        // The start in nanoseconds tells this process's messages from those of the one before it.
        let process = format!("msg_{:x}_{:x}", std::process::id(), Timestamp::now().as_nanosecond());
        Self { process, count: AtomicU64::new(0) }
    }
}

impl MessageIds {
    fn next(&self) -> String {
        format!("{}_{:x}", self.process, self.count.fetch_add(1, Ordering::Relaxed))
    }
}
