//! Listening, with or without TLS, until it is told to stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::routes::{Shared, router};
use super::{WebhookError, WebhookSettings, tls};
use crate::agent::AgentHandle;

/// For answers that are on their way when the server is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// A running server.
#[derive(Debug)]
pub struct WebhookServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl WebhookServer {
    /// Where it listens, with the port that was chosen when the setting said 0.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the webhook server ended unexpectedly");
        }
    }
}

/// Starts the server; it runs until `shutdown` is cancelled.
pub async fn serve_webhook(
    handle: AgentHandle,
    settings: WebhookSettings,
    metrics_text: Arc<dyn Fn() -> String + Send + Sync>,
    shutdown: CancellationToken,
) -> Result<WebhookServer, WebhookError> {
    if settings.secrets.is_empty() {
        return Err(WebhookError::NoSecret);
    }
    let tls = settings.tls.as_ref().map(tls::configure).transpose()?.map(RustlsConfig::from_config);
    let failed = |source| WebhookError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let routes = router(Shared::new(handle, Gate::new(settings.secrets), settings.max_body_bytes, metrics_text));
    let control = Handle::new();
    let serving = tokio::spawn(serve(listener, tls, routes, control.clone()));
    // Only a server that listens hears that it should stop.
    if control.listening().await.is_none() {
        return Err(failed(io::Error::other("the listener could not be taken over")));
    }
    tracing::info!(%address, tls = settings.tls.is_some(), "webhook listens");
    let task = tokio::spawn(async move {
        shutdown.cancelled().await;
        control.graceful_shutdown(Some(GRACE));
        match serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the webhook server failed"),
            Err(error) => tracing::error!(%error, "the webhook server ended unexpectedly"),
        }
    });
    Ok(WebhookServer { address, task })
}

async fn serve(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    routes: Router,
    control: Handle<SocketAddr>,
) -> io::Result<()> {
    let service = routes.into_make_service();
    match tls {
        Some(tls) => axum_server::from_tcp_rustls(listener, tls)?.handle(control).serve(service).await,
        None => axum_server::from_tcp(listener)?.handle(control).serve(service).await,
    }
}
