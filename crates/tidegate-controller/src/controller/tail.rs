//! What the log has that this process has not read yet.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::log::{LogEntry, LogState};
use tidegate_core::position::Position;
use tidegate_store::{Store, StoreError};
use tokio::time::Instant;

use super::input::Input;
use super::limits::store_within;
use super::tasks::Tasks;

/// A longer gap is read as a snapshot and what follows it.
const LONGEST_TAIL: u64 = 256;
/// A store that takes longer has not answered.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(10);

/// What is new, and the newest entry.
#[derive(Clone, Debug)]
pub(crate) enum Tail {
    /// Nothing.
    Same,
    /// These entries follow.
    Entries(Vec<LogEntry>),
    /// The whole state, and its newest entry (none: the log is empty).
    Whole(Box<LogState>, Option<Box<LogEntry>>),
}

/// Reads what follows `at`; everything when that is not known.
pub(super) async fn read_tail(store: &dyn Store, at: Option<Position>) -> Result<Tail, StoreError> {
    let read = async {
        match at {
            Some(at) => read(store, at).await,
            None => whole(store).await,
        }
    };
    store_within(READ_LIMIT, "reading the log", read).await
}

async fn read(store: &dyn Store, at: Position) -> Result<Tail, StoreError> {
    let newest = store.newest().await?;
    let reached = newest.as_ref().map(LogEntry::position).unwrap_or_default();
    if reached == at {
        return Ok(Tail::Same);
    }
    let gap = reached.revision.0.checked_sub(at.revision.0).filter(|gap| (1..=LONGEST_TAIL).contains(gap));
    if gap.is_none() || reached.term < at.term {
        return whole(store).await;
    }
    let mut entries = Vec::new();
    let mut next = at.revision.next();
    while next < reached.revision {
        // Pruned meanwhile: a snapshot is newer.
        let Some(entry) = store.entry(next).await? else { return whole(store).await };
        entries.push(entry);
        next = next.next();
    }
    entries.extend(newest);
    Ok(Tail::Entries(entries))
}

/// The whole state. The newest entry is read first: it may be older than the state, never newer.
pub(super) async fn whole(store: &dyn Store) -> Result<Tail, StoreError> {
    let newest = store.newest().await?;
    Ok(Tail::Whole(Box::new(store.load().await?), newest.map(Box::new)))
}

/// When a follower looks at the log.
#[derive(Debug)]
pub(super) struct Follow {
    every: Duration,
    due: Instant,
    under_way: bool,
}

impl Follow {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, due: Instant::now() + every, under_way: false }
    }

    /// Starts a look if one is due.
    pub(super) fn start(
        &mut self,
        store: &Arc<dyn Store>,
        at: Option<Position>,
        tasks: &Tasks,
        inputs: &super::Inputs,
    ) {
        if self.under_way || Instant::now() < self.due {
            return;
        }
        (self.under_way, self.due) = (true, Instant::now() + self.every);
        let (store, inputs) = (store.clone(), inputs.clone());
        tasks.spawn(async move {
            let result = read_tail(&*store, at).await;
            drop(inputs.send(Input::Tail { result }).await);
        });
    }

    /// The next look is due at once.
    pub(super) fn hurry(&mut self) {
        self.due = Instant::now();
    }

    /// Notes that a look has ended.
    pub(super) fn ended(&mut self) {
        self.under_way = false;
    }

    /// When the next look is due; nothing while one is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.under_way).then_some(self.due)
    }
}
