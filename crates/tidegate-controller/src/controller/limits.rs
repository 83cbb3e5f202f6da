//! What has not answered in time has failed, whatever it thinks itself; what it did is found out by asking again.

use std::future::Future;
use std::time::Duration;

use tidegate_store::StoreError;
use tokio::time::timeout;

use crate::source::ApiFailure;

/// A call to the Kubernetes API, for as long as it may take.
pub(super) async fn api_within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, ApiFailure>>,
) -> Result<T, ApiFailure> {
    timeout(limit, call).await.unwrap_or(Err(ApiFailure::Timeout { limit }))
}

/// An operation on the store, for as long as it may take.
pub(super) async fn store_within<T>(
    limit: Duration,
    operation: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(limit, work).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s", limit.as_secs());
        Err(StoreError::Unavailable { operation, detail })
    })
}
