//! Debug builds only: the process kills itself at a named point, for crash tests.

use std::sync::Arc;

/// Called with the name of each step that is reached, by agent and store.
pub type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// With `TIDEGATE_CRASH_AT=<point>`, or `<point>#<n>` for the n-th time that it is reached, a hook that ends the
/// process with SIGKILL there: nothing is flushed, closed or said, as in a power cut.
#[cfg(debug_assertions)]
pub fn hook() -> Option<Hook> {
    use std::sync::atomic::{AtomicU32, Ordering};

    let wanted = std::env::var("TIDEGATE_CRASH_AT").ok().filter(|wanted| !wanted.is_empty())?;
    let (point, time) = wanted.split_once('#').map_or((wanted.as_str(), 1), |(p, n)| (p, n.parse().unwrap_or(1)));
    tracing::warn!(point, time, "TIDEGATE_CRASH_AT is set: this process will kill itself there");
    let (point, reached) = (point.to_owned(), AtomicU32::new(0));
    Some(Arc::new(move |step| {
        if step == point && reached.fetch_add(1, Ordering::Relaxed) + 1 == time {
            // It cannot fail for the own process, and nobody would be there to hear of it.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }))
}

/// Release builds have no such hook.
#[cfg(not(debug_assertions))]
pub const fn hook() -> Option<Hook> {
    None
}
