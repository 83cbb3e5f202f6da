//! Debug builds only: the process kills itself at a named point, for crash tests.

use std::sync::Arc;

/// Called with the name of each step that is reached, by agent and store.
pub type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// With `TIDEGATE_CRASH_AT=<point>`, a hook that ends the process with SIGKILL at that point:
/// nothing is flushed, closed or said, as in a power cut.
#[cfg(debug_assertions)]
pub fn hook() -> Option<Hook> {
    let point = std::env::var("TIDEGATE_CRASH_AT").ok().filter(|point| !point.is_empty())?;
    tracing::warn!(point, "TIDEGATE_CRASH_AT is set: this process will kill itself there");
    Some(Arc::new(move |step| {
        if step == point {
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
