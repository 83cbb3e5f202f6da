//! The HTTP API: what the controller says of itself, and what operators ask of it.

mod error;
mod node;
mod orders;
mod routes;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::ids::NodeName;
use tidegate_core::order::OrderKind;
use tidegate_core::status::ClusterStatus;
use tidegate_store::Store;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::clock::Clock;
use crate::controller::Input;
use crate::orders::{Answer, OrderError, OrderReply, OrderRequest, OverrideReply, OverrideRequest};
use crate::settings::ControllerSettings;
use crate::status::Board;

pub use error::ApiError;
pub use token::ApiToken;

/// What the API shows: shared with the controller, and cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) board: Arc<Board>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Arc<ControllerSettings>,
    pub(crate) orders: mpsc::WeakSender<Input>,
    pub(crate) token: Option<ApiToken>,
}

impl ApiState {
    /// What `/api/v1/status` answers; nothing before the store is read and a term is open.
    pub fn status(&self) -> Option<ClusterStatus> {
        self.board.status()
    }

    /// Lets whoever shows this token give orders over HTTP; without one nobody can.
    #[must_use]
    pub fn with_token(self, token: Option<ApiToken>) -> Self {
        Self { token, ..self }
    }

    /// Takes a node out and keeps it out until [`Self::undrain`]; answers when that is recorded.
    pub async fn drain(&self, node: NodeName, by: String, why: String) -> Result<OrderReply, OrderError> {
        self.order(OrderRequest { node, kind: OrderKind::Drain, by, why }).await
    }

    /// Lets the rules decide about a node again; answers when that is recorded.
    pub async fn undrain(&self, node: NodeName, by: String, why: String) -> Result<OrderReply, OrderError> {
        self.order(OrderRequest { node, kind: OrderKind::Undrain, by, why }).await
    }

    pub(crate) async fn order(&self, request: OrderRequest) -> Result<OrderReply, OrderError> {
        self.ask(|answer| Input::Order { request, answer }).await
    }

    pub(crate) async fn override_guard(&self, request: OverrideRequest) -> Result<OverrideReply, OrderError> {
        self.ask(|answer| Input::Override { request, answer }).await
    }

    async fn ask<T>(&self, input: impl FnOnce(Answer<T>) -> Input) -> Result<T, OrderError> {
        let (answer, reply) = oneshot::channel();
        let inputs = self.orders.upgrade().ok_or(OrderError::NotRunning)?;
        inputs.send(input(answer)).await.map_err(|_| OrderError::NotRunning)?;
        drop(inputs);
        reply.await.unwrap_or(Err(OrderError::NotRunning))
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
