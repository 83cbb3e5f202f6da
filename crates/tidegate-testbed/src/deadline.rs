//! Waiting with a deadline: no test sleeps and hopes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Polls `probe` until it gives a value; fails with `what` once `limit` has passed.
pub async fn until<T, F, P>(what: &str, limit: Duration, mut probe: F) -> Result<T>
where
    F: FnMut() -> P,
    P: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        // The probe itself may hang, as against a stopped server.
        let left = limit.saturating_sub(started.elapsed());
        if let Ok(Some(value)) = tokio::time::timeout(left, probe()).await {
            return Ok(value);
        }
        if started.elapsed() >= limit {
            bail!("{what}: not within {limit:?}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// As [`until`], for a condition that needs no await.
pub async fn until_true(what: &str, limit: Duration, mut probe: impl FnMut() -> bool) -> Result<()> {
    until(what, limit, || std::future::ready(probe().then_some(()))).await
}
