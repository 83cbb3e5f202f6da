//! Futures on a thread of their own, inside a namespace or not.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

/// A future that runs on its own thread. Dropping it cancels the future.
#[derive(Debug)]
pub struct Task<T> {
    result: oneshot::Receiver<Result<T>>,
}

impl<T> Task<T> {
    /// Waits for the value.
    pub async fn join(self) -> Result<T> {
        self.result.await.map_err(|_| anyhow!("the task's thread died"))?
    }
}

/// Runs `body` on a new thread with a runtime, after moving the thread into `namespace`.
///
/// Only the thread moves; the process stays where it is.
pub(crate) fn start<T, F, P>(name: &str, namespace: Option<PathBuf>, body: F) -> Result<Task<T>>
where
    T: Send + 'static,
    F: FnOnce() -> P + Send + 'static,
    P: Future<Output = T>,
{
    let (mut answer, result) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let runtime = match enter(namespace.as_deref()) {
                Ok(runtime) => runtime,
                Err(error) => return drop(answer.send(Err(error))),
            };
            let value = runtime.block_on(async {
                let local = tokio::task::LocalSet::new();
                let body = local.run_until(body());
                tokio::select! {
                    value = body => Some(value),
                    () = answer.closed() => None,
                }
            });
            if let Some(value) = value {
                let _ = answer.send(Ok(value));
            }
        })
        .context("starting a thread")?;
    Ok(Task { result })
}

fn enter(namespace: Option<&Path>) -> Result<tokio::runtime::Runtime> {
    if let Some(path) = namespace {
        use std::os::fd::AsFd;
        let file = fs_err::File::open(path)?;
        move_into_link_name_space(file.file().as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("entering {}", path.display()))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("making a runtime")
}
