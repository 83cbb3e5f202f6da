//! Several engines, or one engine several times, each in a thread of its own.

use std::thread::Builder;

/// Something to be run, by its name.
pub type Named = (String, Box<dyn FnOnce() + Send>);

/// Runs all and fails with the names of those that failed.
pub fn at_once(runs: Vec<Named>) {
    let start = |(name, run): Named| (name.clone(), Builder::new().name(name).spawn(run).unwrap());
    let threads: Vec<_> = runs.into_iter().map(start).collect();
    let failed: Vec<String> =
        threads.into_iter().filter_map(|(name, thread)| thread.join().err().map(|_| name)).collect();
    assert!(failed.is_empty(), "failed, see above: {failed:?}");
}

/// Whatever an engine starts belongs to this thread, also its network namespace.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
