//! Named points of the pipeline, for tests that end the process exactly there.

use std::sync::Arc;

/// Called with the name of each point as it is reached: `render:done`, `validate:done`,
/// `swap:temp-written`, `swap:synced`, `swap:renamed`, `swap:dir-synced`, `reload:sent`, `verify:done`,
/// `snapshot:written`, `rollback:restored`.
pub type StepHook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// A hook that does nothing, when the caller gave none.
pub(crate) fn or_none(hook: Option<StepHook>) -> StepHook {
    hook.unwrap_or_else(|| Arc::new(|_| {}))
}
