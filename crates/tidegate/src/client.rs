//! Asking the controller's API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tidegate_controller::{OrderReply, OverrideReply};
use tidegate_core::class::ErrorClass;
use tidegate_core::guard::Guard;
use tidegate_core::ids::NodeName;
use tidegate_core::order::OrderKind;
use tidegate_core::status::{ClusterStatus, HistoryRow, NodeDetail};

use crate::cli::ApiArgs;
use crate::config::defaults;
use crate::config::load::load_api_listen;
use crate::config::one_line::Hidden;
use crate::exit::CommandError;

/// The API is on this machine or near it, and answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An API that did not answer as it should.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No answer at all.
    #[error(
        "the controller's API at {url} cannot be reached: {detail}; cure: start `tidegate run` or `tidegate controller`, or pass its address with --api"
    )]
    Reach {
        /// Where.
        url: String,
        /// What the network said.
        detail: String,
    },
    /// There is no such node.
    #[error("{message}; cure: `tidegate status` lists the nodes")]
    UnknownNode {
        /// What the API said.
        message: String,
    },
    /// It refused, or is not ready.
    #[error("the controller's API at {url} answered {status}: {message}; cure: look at the log of the controller")]
    Refused {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// An order that it did not take.
    #[error("{what}; cure: {cure}")]
    Declined {
        /// Why.
        what: String,
        /// What a person can do.
        cure: String,
    },
    /// Not what this version understands.
    #[error(
        "{url} did not answer as a Tidegate API: {detail}; cure: correct --api, or use the version of the controller"
    )]
    Understand {
        /// Where.
        url: String,
        /// What was wrong.
        detail: String,
    },
}

impl ClientError {
    /// Whether asking again may help.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Reach { .. } | Self::Refused { status: 500.., .. } => ErrorClass::Transient,
            _ => ErrorClass::Permanent,
        }
    }
}

/// Who asks for an order, and what for.
#[derive(Debug, Serialize)]
pub struct OrderBody<'a> {
    /// Who.
    pub by: &'a str,
    /// What for.
    pub why: &'a str,
}

/// What an override asks for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideBody<'a> {
    /// Who asks.
    pub by: &'a str,
    /// What for.
    pub why: &'a str,
    /// For how long; zero: no longer.
    pub for_seconds: u64,
}

/// One controller's API.
#[derive(Clone, Debug)]
pub struct ApiClient {
    base: Url,
    http: reqwest::Client,
}

impl ApiClient {
    /// The API that the arguments name.
    pub fn from_args(args: &ApiArgs) -> Result<Self, CommandError> {
        let text = match (&args.api, &args.config) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => return Self::at_listen(load_api_listen(file)?),
            (None, None) => return Self::at_listen(defaults::API_LISTEN),
        };
        Self::at(&text)
    }

    /// The API of a controller on this machine that listens there.
    pub fn at_listen(listen: SocketAddr) -> Result<Self, CommandError> {
        Self::at(&format!("http://{}", reachable(listen)))
    }

    fn at(text: &str) -> Result<Self, CommandError> {
        let wrong = |problem: String| CommandError::ApiAddress { text: text.to_owned(), problem };
        let base = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://".to_owned()));
        }
        crate::tls::install_provider();
        // A proxy from the environment has no business between two processes of one machine.
        let http = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        Ok(Self { base, http: http.map_err(|error| wrong(error.to_string()))? })
    }

    /// Its address.
    pub fn url_text(&self) -> String {
        self.base.to_string()
    }

    /// `/api/v1/status`
    pub async fn status(&self) -> Result<ClusterStatus, ClientError> {
        self.get("api/v1/status", &[]).await
    }

    /// `/api/v1/nodes/{name}`
    pub async fn node(&self, name: &NodeName) -> Result<NodeDetail, ClientError> {
        self.get(&format!("api/v1/nodes/{name}"), &[]).await.map_err(|error| match error {
            ClientError::Refused { status: 404, message, .. } => ClientError::UnknownNode { message },
            other => other,
        })
    }

    /// `/api/v1/history`
    pub async fn history(&self, node: Option<&NodeName>, limit: u32) -> Result<Vec<HistoryRow>, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(node.map(|name| ("node", name.to_string())));
        self.get("api/v1/history", &query).await
    }

    /// `/api/v1/nodes/{name}/drain` or `/undrain`: what the leader answers once it is recorded.
    pub async fn order(
        &self,
        kind: OrderKind,
        node: &NodeName,
        order: &OrderBody<'_>,
        token: &Hidden,
    ) -> Result<OrderReply, ClientError> {
        self.ask_for(&format!("api/v1/nodes/{node}/{}", kind.as_str()), order, token).await
    }

    /// `/api/v1/guards/{guard}/override`: what the leader answers once it is recorded.
    pub async fn override_guard(
        &self,
        guard: Guard,
        order: &OverrideBody<'_>,
        token: &Hidden,
    ) -> Result<OverrideReply, ClientError> {
        self.ask_for(&format!("api/v1/guards/{guard}/override"), order, token).await
    }

    async fn ask_for<T: DeserializeOwned>(
        &self,
        path: &str,
        order: &impl Serialize,
        token: &Hidden,
    ) -> Result<T, ClientError> {
        let request = self.http.post(self.url(path)).bearer_auth(token.reveal()).json(order);
        self.answer(request).await.map_err(|error| match error {
            ClientError::Refused { status, message, .. } => {
                let (what, cure) = message.split_once("; cure: ").unwrap_or((&message, cure_of(status)));
                ClientError::Declined { what: what.to_owned(), cure: cure.to_owned() }
            }
            other => other,
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.http.get(url)).await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let shown = self.base.to_string();
        let reach = |error: reqwest::Error| ClientError::Reach { url: shown.clone(), detail: root_cause(&error) };
        let response = request.send().await.map_err(reach)?;
        let status = response.status();
        let body = response.bytes().await.map_err(reach)?;
        if !status.is_success() {
            return Err(ClientError::Refused { url: shown, status: status.as_u16(), message: said(&body) });
        }
        serde_json::from_slice(&body).map_err(|error| ClientError::Understand { url: shown, detail: error.to_string() })
    }
}

/// For answers that bring no cure of their own.
const fn cure_of(status: u16) -> &'static str {
    match status {
        401 => "pass the token of the controller's api.tokenFile with --token-file",
        403 => "set api.tokenFile in the configuration of the controller, and restart it",
        404 => "`tidegate status` lists the nodes",
        409 | 503 => "`tidegate status` names the leader: ask that one with --api",
        _ => "look at the log of the controller",
    }
}

/// The address to connect to for one that is listened on.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The message of an error answer: `{"error": ...}`, else the first line of the text.
fn said(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let field = |name: &str| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let text = || String::from_utf8_lossy(body).lines().next().unwrap_or_default().chars().take(200).collect();
    field("error").or_else(|| field("message")).unwrap_or_else(text)
}

fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", TIMEOUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
