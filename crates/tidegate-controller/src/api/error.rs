//! Why the API cannot be served, or a question cannot be answered.

use std::net::SocketAddr;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use thiserror::Error;
use tidegate_core::class::ErrorClass;
use tidegate_core::ids::{InvalidName, NodeName};
use tidegate_store::StoreError;

use crate::orders::OrderError;

/// Why the API cannot be served.
#[derive(Debug, Error)]
pub enum ApiError {
    /// Listening.
    #[error("listening on {listen} for the API: {source}; cure: another api.listen, or stop what has that port")]
    Bind {
        /// Where.
        listen: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl ApiError {
    /// Whether to retry.
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// Why a question has no answer. Written as `{"error": ...}`.
#[derive(Debug, Error)]
pub(super) enum QuestionError {
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("{0}")]
    BadName(#[from] InvalidName),
    #[error("{0}")]
    BadGuard(String),
    #[error("no node {0} is observed, a member, or in the history that is kept")]
    NoSuchNode(NodeName),
    #[error(
        "there is nothing at this path; try /api/v1/status, /api/v1/nodes/NAME, /api/v1/history, /healthz, /readyz or /metrics"
    )]
    NoSuchPath,
    #[error("{0}")]
    BadQuery(String),
    #[error("this path takes another method: orders are POSTed, everything else is a GET")]
    BadMethod,
    #[error("the body is not {{\"by\": ..., \"why\": ...}}: {0}")]
    BadBody(String),
    #[error("orders are not taken here: no token is configured; cure: name a file with one in api.tokenFile")]
    NoToken,
    #[error(
        "the token is missing or is another one; cure: send `Authorization: Bearer TOKEN` with the content of api.tokenFile"
    )]
    BadToken,
    #[error("{0}")]
    Order(OrderError),
    #[error("reading the history: {0}")]
    History(#[from] StoreError),
}

impl QuestionError {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NotReady(_)
            | Self::History(_)
            | Self::Order(OrderError::StoreStuck { .. } | OrderError::NotRunning) => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadName(_) | Self::BadGuard(_) | Self::BadQuery(_) | Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::NoSuchNode(_) | Self::NoSuchPath | Self::Order(OrderError::NoSuchNode { .. }) => {
                StatusCode::NOT_FOUND
            }
            Self::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoToken => StatusCode::FORBIDDEN,
            Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::Order(OrderError::NotLeader { .. } | OrderError::NoOverride { .. }) => StatusCode::CONFLICT,
        }
    }
}

impl IntoResponse for QuestionError {
    fn into_response(self) -> Response {
        let error = self.to_string();
        let body = match &self {
            Self::Order(OrderError::NotLeader { leader }) => serde_json::json!({ "error": error, "leader": leader }),
            _ => serde_json::json!({ "error": error }),
        };
        (self.status(), Json(body)).into_response()
    }
}
