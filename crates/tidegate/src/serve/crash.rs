//! Debug builds only: the process kills or stops itself at a named point, for tests of crashes and of long pauses.

use std::sync::Arc;

use tidegate_controller::Publisher;

/// Called with the name of each step that is reached, by agent and store.
pub type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// With `TIDEGATE_CRASH_AT=<point>`, or `<point>#<n>` for the n-th time that it is reached, a hook that ends the
/// process with SIGKILL there: nothing is flushed, closed or said, as in a power cut.
#[cfg(debug_assertions)]
pub fn hook() -> Option<Hook> {
    signalling::hook("TIDEGATE_CRASH_AT", rustix::process::Signal::KILL)
}

/// Release builds have no such hook.
#[cfg(not(debug_assertions))]
pub const fn hook() -> Option<Hook> {
    None
}

/// With `TIDEGATE_STOP_AT=push:begin#<n>` the process stops itself (SIGSTOP) before its n-th push, when it has already
/// made sure that it leads: whoever continues it sees that push leave.
#[cfg(debug_assertions)]
pub fn stopping(publisher: Arc<dyn Publisher>) -> Arc<dyn Publisher> {
    match signalling::hook("TIDEGATE_STOP_AT", rustix::process::Signal::STOP) {
        Some(hook) => Arc::new(signalling::Stopping { publisher, hook }),
        None => publisher,
    }
}

/// Release builds push without it.
#[cfg(not(debug_assertions))]
pub fn stopping(publisher: Arc<dyn Publisher>) -> Arc<dyn Publisher> {
    publisher
}

#[cfg(debug_assertions)]
mod signalling {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use rustix::process::{Signal, getpid, kill_process};
    use tidegate_controller::{PublishError, Publisher};
    use tidegate_core::desired::DesiredState;
    use tidegate_core::ids::LoadBalancerName;
    use tidegate_core::protocol::{AgentStatus, ApplyReport};

    use super::Hook;

    /// What the variable asks for, if it is set.
    pub(super) fn hook(variable: &'static str, signal: Signal) -> Option<Hook> {
        let wanted = std::env::var(variable).ok().filter(|wanted| !wanted.is_empty())?;
        let (point, time) = wanted.split_once('#').map_or((wanted.as_str(), 1), |(p, n)| (p, n.parse().unwrap_or(1)));
        tracing::warn!(point, time, ?signal, "{variable} is set: this process will signal itself there");
        let (point, reached) = (point.to_owned(), AtomicU32::new(0));
        Some(Arc::new(move |step| {
            if step == point && reached.fetch_add(1, Ordering::Relaxed) + 1 == time {
                // It cannot fail for the own process, and nobody would be there to hear of it.
                let _ = kill_process(getpid(), signal);
            }
        }))
    }

    /// A publisher that names its steps.
    pub(super) struct Stopping {
        pub(super) publisher: Arc<dyn Publisher>,
        pub(super) hook: Hook,
    }

    #[async_trait]
    impl Publisher for Stopping {
        fn name(&self) -> &LoadBalancerName {
            self.publisher.name()
        }

        async fn push(&self, state: &DesiredState) -> Result<ApplyReport, PublishError> {
            (self.hook)("push:begin");
            self.publisher.push(state).await
        }

        async fn status(&self) -> Result<AgentStatus, PublishError> {
            self.publisher.status().await
        }
    }
}
