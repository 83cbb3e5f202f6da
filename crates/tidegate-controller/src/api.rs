//! The HTTP API: what the controller says of itself. Read-only.

mod error;
mod node;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::status::ClusterStatus;
use tidegate_store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::clock::Clock;
use crate::settings::ControllerSettings;
use crate::status::Board;

pub use error::ApiError;

/// What the API shows: shared with the controller, and cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) board: Arc<Board>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Arc<ControllerSettings>,
}

impl ApiState {
    /// What `/api/v1/status` answers; nothing before the store is read and a term is open.
    pub fn status(&self) -> Option<ClusterStatus> {
        self.board.status()
    }

    /// Why the controller is not ready; nothing when it is.
    pub fn problem(&self) -> Option<String> {
        self.board.problem()
    }
}

/// A running API.
#[derive(Debug)]
pub struct ApiServer {
    /// Where it listens: the port that was chosen when port 0 was asked for.
    pub local_addr: SocketAddr,
    /// Ends after `shutdown`.
    pub handle: JoinHandle<()>,
}

/// Serves the API until `shutdown`. `metrics_text` is asked at each scrape.
pub async fn serve_api(
    state: ApiState,
    listen: SocketAddr,
    metrics_text: Arc<dyn Fn() -> String + Send + Sync>,
    shutdown: CancellationToken,
) -> Result<ApiServer, ApiError> {
    let bind = |source| ApiError::Bind { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(bind)?;
    let local_addr = listener.local_addr().map_err(bind)?;
    let router = routes::router(state, metrics_text);
    let handle = tokio::spawn(async move {
        let ended = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = ended {
            error!(%error, "the API server has ended");
        }
    });
    Ok(ApiServer { local_addr, handle })
}
