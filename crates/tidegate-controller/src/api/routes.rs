//! Which path answers what.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tidegate_core::ids::NodeName;
use tidegate_core::status::{ClusterStatus, HistoryRow, NodeDetail};
use tidegate_store::HistoryQuery;

use super::error::QuestionError;
use super::{ApiState, node, orders};

/// Of the OpenMetrics text that prometheus-client writes.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;

type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

pub(super) fn router(state: ApiState, metrics_text: MetricsText) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(move || async move { ([(header::CONTENT_TYPE, METRICS_TYPE)], metrics_text()) }))
        .route("/api/v1/status", get(status))
        .route("/api/v1/nodes/{name}", get(node))
        .route("/api/v1/nodes/{name}/drain", post(orders::drain))
        .route("/api/v1/nodes/{name}/undrain", post(orders::undrain))
        .route("/api/v1/guards/{guard}/override", post(orders::override_guard))
        .route("/api/v1/history", get(history))
        .method_not_allowed_fallback(|| async { QuestionError::BadMethod })
        .layer(DefaultBodyLimit::max(orders::BODY_LIMIT))
        .fallback(|| async { QuestionError::NoSuchPath })
        .with_state(state)
}

async fn readyz(State(state): State<ApiState>) -> Response {
    match state.board.problem() {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

async fn status(State(state): State<ApiState>) -> Result<Json<ClusterStatus>, QuestionError> {
    let why = || state.board.problem().unwrap_or_else(|| "starting".to_owned());
    state.board.status().map(Json).ok_or_else(|| QuestionError::NotReady(why()))
}

async fn node(State(state): State<ApiState>, Path(name): Path<String>) -> Result<Json<NodeDetail>, QuestionError> {
    node::detail(&state, NodeName::parse(name)?).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryParameters {
    node: Option<NodeName>,
    limit: Option<usize>,
}

async fn history(
    State(state): State<ApiState>,
    query: Result<Query<HistoryParameters>, QueryRejection>,
) -> Result<Json<Vec<HistoryRow>>, QuestionError> {
    let Query(parameters) = query.map_err(|e| QuestionError::BadQuery(e.body_text()))?;
    let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    Ok(Json(rows(&state, parameters.node, limit).await?))
}

/// The newest changes, of one node or of all; at most `limit` commits.
pub(super) async fn rows(
    state: &ApiState,
    node: Option<NodeName>,
    limit: usize,
) -> Result<Vec<HistoryRow>, QuestionError> {
    let entries = state.store.history(&HistoryQuery { node: node.clone(), limit }).await?;
    Ok(entries.iter().flat_map(|entry| HistoryRow::about(entry, node.as_ref())).collect())
}
