//! `POST /api/v1/nodes/{name}/drain` and `/undrain`: only for whoever shows the token.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use tidegate_core::guard::Guard;
use tidegate_core::ids::NodeName;
use tidegate_core::order::OrderKind;
use tidegate_core::time::human;

use super::ApiState;
use super::error::QuestionError;
use crate::orders::{OrderReply, OrderRequest, OverrideReply, OverrideRequest};

/// Of a whole request: a reason is a sentence or two.
pub(super) const BODY_LIMIT: usize = 16 << 10;
/// In characters: it is kept in the log and shown in tables.
const BY_LIMIT: usize = 200;
const WHY_LIMIT: usize = 2000;

/// Whoever needs longer has a configuration to change.
const LONGEST_OVERRIDE: Duration = Duration::from_secs(24 * 60 * 60);

/// The body of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    by: String,
    #[serde(default)]
    why: String,
}

pub(super) async fn drain(
    state: State<ApiState>,
    name: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<OrderReply>, QuestionError> {
    give(&state, &name, &headers, &body, OrderKind::Drain).await
}

pub(super) async fn undrain(
    state: State<ApiState>,
    name: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<OrderReply>, QuestionError> {
    give(&state, &name, &headers, &body, OrderKind::Undrain).await
}

async fn give(
    state: &ApiState,
    name: &str,
    headers: &HeaderMap,
    body: &Bytes,
    kind: OrderKind,
) -> Result<Json<OrderReply>, QuestionError> {
    check_token(state, headers)?;
    let node = NodeName::parse(name)?;
    let Wish { by, why } = serde_json::from_slice(body).map_err(|e| QuestionError::BadBody(e.to_string()))?;
    let (by, why) = (printable("by", &by, BY_LIMIT)?, printable("why", &why, WHY_LIMIT)?);
    if by.is_empty() {
        return Err(QuestionError::BadBody("`by` is empty: history has to say who".to_owned()));
    }
    let reply = state.order(OrderRequest { node, kind, by, why }).await;
    reply.map(Json).map_err(QuestionError::Order)
}

/// The body of an override.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Exception {
    by: String,
    why: String,
    /// Zero: the guard holds again.
    for_seconds: u64,
}

/// `POST /api/v1/guards/{guard}/override`
pub(super) async fn override_guard(
    state: State<ApiState>,
    guard: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<OverrideReply>, QuestionError> {
    check_token(&state, &headers)?;
    let guard = Guard::parse(&guard).map_err(QuestionError::BadGuard)?;
    let Exception { by, why, for_seconds } =
        serde_json::from_slice(&body).map_err(|e| QuestionError::BadBody(e.to_string()))?;
    let (by, why) = (printable("by", &by, BY_LIMIT)?, printable("why", &why, WHY_LIMIT)?);
    if by.is_empty() || why.is_empty() {
        return Err(QuestionError::BadBody("`by` and `why` must say something: history has to".to_owned()));
    }
    let lasts = Duration::from_secs(for_seconds);
    if lasts > LONGEST_OVERRIDE {
        let limit = human(LONGEST_OVERRIDE);
        return Err(QuestionError::BadBody(format!("`forSeconds` is longer than {limit}: a guard is there to hold")));
    }
    let reply = state.override_guard(OverrideRequest { guard, lasts, by, why }).await;
    reply.map(Json).map_err(QuestionError::Order)
}

fn check_token(state: &ApiState, headers: &HeaderMap) -> Result<(), QuestionError> {
    let Some(token) = &state.token else { return Err(QuestionError::NoToken) };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown =
        shown.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match shown {
        Some((_, shown)) if token.is(shown.trim()) => Ok(()),
        _ => Err(QuestionError::BadToken),
    }
}

/// One line without control characters: it is shown on terminals.
fn printable(field: &str, text: &str, limit: usize) -> Result<String, QuestionError> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(QuestionError::BadBody(format!("`{field}` has control characters; cure: write it as one line")));
    }
    if text.chars().count() > limit {
        return Err(QuestionError::BadBody(format!("`{field}` is longer than {limit} characters")));
    }
    Ok(text.to_owned())
}
