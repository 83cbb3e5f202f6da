//! A client whose calls end and whose watches are spaced, and its failures in our own words.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Request, Response};
use kube::client::Body;
use tokio::time::{Instant, sleep_until, timeout};

use crate::causes::chain;
use crate::source::ApiFailure;

/// kube's watcher asks again at once when a server ends a watch: here is what keeps one that ends
/// every watch from being asked thousands of times in a second.
const WATCH_SPACING: Duration = Duration::from_millis(250);

/// Bounds the time until the headers of an answer, also for a watch, which has no other limit there.
pub(crate) fn bounded(client: kube::Client, limit: Duration) -> kube::Client {
    let namespace = client.default_namespace().to_owned();
    let spacing = Arc::new(Spacing::default());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, spacing) = (client.clone(), spacing.clone());
        async move {
            if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
                sleep_until(spacing.next()).await;
            }
            send_in_time(&client, request, limit).await
        }
    });
    kube::Client::new(service, namespace)
}

async fn send_in_time(
    client: &kube::Client,
    request: Request<Body>,
    limit: Duration,
) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    match timeout(limit, client.send(request)).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(ApiFailure::Timeout { limit }.into()),
    }
}

/// When the next watch may start.
#[derive(Default)]
struct Spacing {
    last: Mutex<Option<Instant>>,
}

impl Spacing {
    fn next(&self) -> Instant {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let next = last.map_or(now, |last| now.max(last + WATCH_SPACING));
        *last = Some(next);
        next
    }
}

/// What a failure of the client means.
pub(crate) fn failure(error: &kube::Error) -> ApiFailure {
    match error {
        kube::Error::Api(status) => ApiFailure::Answered { code: status.code, message: status.message.clone() },
        kube::Error::Service(source) => match source.downcast_ref::<ApiFailure>() {
            Some(failure) => failure.clone(),
            None => ApiFailure::Unreachable { detail: chain(&**source) },
        },
        other => ApiFailure::Unreachable { detail: chain(other) },
    }
}
