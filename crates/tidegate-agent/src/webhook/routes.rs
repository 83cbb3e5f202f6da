//! What each path answers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tidegate_core::protocol::{AgentStatus, ApplyReport, DESIRED_STATE_PATH, Refusal, STATUS_PATH};
use tokio::sync::Semaphore;

use super::body;
use super::gate::Gate;
use crate::agent::AgentHandle;

/// Bodies that are held in memory at a time, before their signature is known: 16 x 8 MiB.
const BODIES: usize = 16;

/// What the routes share.
pub struct Shared {
    pub handle: AgentHandle,
    pub gate: Gate,
    pub max_body_bytes: u64,
    pub metrics_text: Arc<dyn Fn() -> String + Send + Sync>,
    bodies: Semaphore,
}

impl Shared {
    pub fn new(
        handle: AgentHandle,
        gate: Gate,
        max_body_bytes: u64,
        metrics_text: Arc<dyn Fn() -> String + Send + Sync>,
    ) -> Self {
        Self { handle, gate, max_body_bytes, metrics_text, bodies: Semaphore::new(BODIES) }
    }
}

/// Every route.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route(DESIRED_STATE_PATH, post(desired_state))
        .route(STATUS_PATH, get(status))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(shared))
}

async fn desired_state(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let result = take(&shared, request).await;
    shared.handle.metrics().hook(&result);
    match result {
        Ok(report) => Json(report).into_response(),
        Err(refusal) => refuse(&refusal),
    }
}

async fn take(shared: &Shared, request: Request) -> Result<ApplyReport, Refusal> {
    let (parts, sent) = request.into_parts();
    let limit = shared.max_body_bytes;
    let state = {
        // Held until the body is parsed, not while the state is applied. The semaphore is never closed.
        let _permit = shared.bodies.acquire().await.ok();
        let bytes = body::read(sent, limit).await?;
        shared.gate.admit(&parts.headers, &bytes)?;
        let bytes = body::decode(&parts.headers, bytes, limit)?;
        serde_json::from_slice(&bytes).map_err(|e| Refusal::Malformed { detail: e.to_string() })?
    };
    shared.handle.submit(state).await
}

async fn status(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match shared.gate.admit_question(&headers) {
        Ok(()) => Json::<AgentStatus>(shared.handle.counted_status().await).into_response(),
        Err(refusal) => refuse(&refusal),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let content_type = (header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([content_type], (shared.metrics_text)()).into_response()
}

fn refuse(refusal: &Refusal) -> Response {
    tracing::warn!(reason = refusal.as_str(), %refusal, "refused a request");
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(refusal)).into_response()
}
