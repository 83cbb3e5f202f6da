//! A client whose calls end, and the failures it reports in our own words.

use std::error::Error;
use std::time::Duration;

use axum::http::{Request, Response};
use kube::client::Body;

use crate::causes::chain;
use crate::source::ApiFailure;

/// Bounds the time until the headers of an answer, also for a watch, which has no other limit there.
pub(super) fn with_header_timeout(client: kube::Client, limit: Duration) -> kube::Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move { send_in_time(&client, request, limit).await }
    });
    kube::Client::new(service, namespace)
}

async fn send_in_time(
    client: &kube::Client,
    request: Request<Body>,
    limit: Duration,
) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    match tokio::time::timeout(limit, client.send(request)).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(ApiFailure::Timeout { limit }.into()),
    }
}

/// What a failure of the client means.
pub(super) fn failure(error: &kube::Error) -> ApiFailure {
    match error {
        kube::Error::Api(status) => ApiFailure::Answered { code: status.code, message: status.message.clone() },
        kube::Error::Service(source) => match source.downcast_ref::<ApiFailure>() {
            Some(failure) => failure.clone(),
            None => ApiFailure::Unreachable { detail: chain(&**source) },
        },
        other => ApiFailure::Unreachable { detail: chain(other) },
    }
}
