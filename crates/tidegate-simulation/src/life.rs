//! One process of a controller: it can be stopped and killed from outside, and nothing of it gets out then.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::parties::ReplicaId;

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    Runs,
    /// SIGSTOP.
    Stopped,
    /// SIGKILL: for ever.
    Dead,
}

/// One process, from its start to its end.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) replica: ReplicaId,
    /// Another one for each process.
    pub(crate) holder: String,
    pulse: Mutex<Pulse>,
    /// Told when the process goes on. It wakes who waits in the order of their coming, which a watch channel does not.
    goes_on: Notify,
    waits: Mutex<Option<Waker>>,
}

/// A process that does its work looks at it some dozens of times in one moment of virtual time.
const MOST_LOOKS: u32 = 1_000;

/// Counts how often a process is looked at without that virtual time goes on.
#[derive(Default)]
struct Looks {
    at: Option<Instant>,
    count: u32,
}

impl Looks {
    fn are_too_many(&mut self) -> bool {
        let now = Some(Instant::now());
        self.count = if self.at == now { self.count + 1 } else { 0 };
        self.at = now;
        self.count > MOST_LOOKS
    }
}

impl Life {
    pub(crate) fn new(replica: ReplicaId, start: u32) -> Self {
        let holder = format!("{replica}_{start}");
        Self { replica, holder, pulse: Mutex::new(Pulse::Runs), goes_on: Notify::new(), waits: Mutex::new(None) }
    }

    pub(crate) fn pulse(&self) -> Pulse {
        *self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, pulse: Pulse) {
        if self.pulse() == Pulse::Dead {
            return;
        }
        *self.pulse.lock().unwrap_or_else(PoisonError::into_inner) = pulse;
        if pulse == Pulse::Runs {
            self.goes_on.notify_waiters();
        }
        if let Some(waker) = self.waits.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Everything that enters or leaves the process passes here: while it is stopped nothing does, and never again
    /// when it is dead.
    pub(crate) async fn gate(&self) {
        while self.pulse() != Pulse::Runs {
            self.goes_on.notified().await;
        }
    }

    /// Runs the process's main task, which is not even looked at while the process is stopped. Nothing comes of it when
    /// it turns in a circle: virtual time would never go on.
    pub(crate) async fn live<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut looks = Looks::default();
        poll_fn(|context| {
            if self.pulse() == Pulse::Runs {
                return if looks.are_too_many() { Poll::Ready(None) } else { work.as_mut().poll(context).map(Some) };
            }
            *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
