//! Signals: when a role ends, and what does not end it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that SIGTERM or SIGINT cancels. A second one ends the process at once; SIGHUP is ignored.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
                _ = hangup.recv() => {
                    tracing::warn!("SIGHUP is ignored: the configuration is read at the start; restart to change it, traffic goes on");
                    continue;
                }
            };
            if token.is_cancelled() {
                tracing::warn!("{name} again: ends at once; traffic goes on");
                std::process::exit(1);
            }
            tracing::info!("{name}: ends; traffic goes on");
            token.cancel();
        }
    });
    Ok(cancelled)
}
