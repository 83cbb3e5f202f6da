//! Panics of fuzzing threads are caught and told by the finding, not by each of the hundreds that minimising takes.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// How such threads are named.
pub(super) const THREAD: &str = "fuzz:";

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps panics of these threads, with their place; those of others are printed as ever.
pub(super) fn silence_fuzzers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_fuzzer = std::thread::current().name().is_some_and(|name| name.starts_with(THREAD));
            if is_fuzzer {
                LAST.with_borrow_mut(|last| *last = info.to_string());
            } else {
                usual(info);
            }
        }));
    });
}

/// What `run` gives, or what its panic said and where.
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| LAST.with_borrow_mut(std::mem::take))
}
