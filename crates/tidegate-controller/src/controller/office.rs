//! Whether this process may act, at this very moment: what every write, push, patch and Event asks first.

use std::time::Duration;

use tidegate_core::mutant::{Mutant, planted};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

/// How long an orderly end waits for the Lease to be given up.
const RESIGN_LIMIT: Duration = Duration::from_secs(1);

/// What the elector found out last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The number of this process's tenure, and when it ends unless the Lease is renewed (none: never).
    pub(super) tenure: Option<(u64, Option<Instant>)>,
    /// Who leads, by the latest word.
    pub(super) leader: Option<String>,
}

impl Standing {
    fn holds(&self, number: u64) -> bool {
        self.tenure.is_some_and(|(current, until)| {
            current == number
                && (until.is_none_or(|until| Instant::now() < until) || planted(Mutant::LeaderNeverExpires))
        })
    }
}

/// What the loop tells the elector.
#[derive(Debug)]
pub(super) enum Notice {
    /// The store says that somebody else leads.
    Deposed { by: String },
    /// This process ends: the Lease is to be given up.
    Resign { done: oneshot::Sender<()> },
}

/// Where the loop hears who leads.
#[derive(Clone, Debug)]
pub(super) struct Office {
    standing: watch::Receiver<Standing>,
    /// None: there is no election.
    notices: Option<mpsc::Sender<Notice>>,
}

impl Office {
    /// Without an election: this process leads, always.
    pub(super) fn for_life(holder: &str) -> Self {
        let standing = Standing { tenure: Some((1, None)), leader: Some(holder.to_owned()) };
        Self { standing: watch::channel(standing).1, notices: None }
    }

    pub(super) const fn elected(standing: watch::Receiver<Standing>, notices: mpsc::Sender<Notice>) -> Self {
        Self { standing, notices: Some(notices) }
    }

    /// Whether there is an election, so that losing it is no reason to end.
    pub(super) const fn is_elected(&self) -> bool {
        self.notices.is_some()
    }

    /// The tenure of this process, if it leads at this moment.
    pub(super) fn tenure(&self) -> Option<Tenure> {
        let (number, _) = self.standing.borrow().tenure?;
        Some(Tenure { number, standing: self.standing.clone() }).filter(Tenure::is_valid)
    }

    /// Who leads, by the latest word.
    pub(super) fn leader(&self) -> Option<String> {
        self.standing.borrow().leader.clone()
    }

    /// When this process must have stopped, unless the Lease is renewed.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.standing.borrow().tenure.and_then(|(_, until)| until)
    }

    /// Waits for news.
    pub(super) async fn changed(&mut self) {
        if self.standing.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Says that the store has been written to by `by`, in a newer term.
    pub(super) async fn deposed(&self, by: String) {
        if let Some(notices) = &self.notices {
            drop(notices.send(Notice::Deposed { by }).await);
        }
    }

    /// Gives the Lease up.
    pub(super) async fn resign(&self) {
        let Some(notices) = &self.notices else { return };
        let (done, end) = oneshot::channel();
        let resign = async {
            if notices.send(Notice::Resign { done }).await.is_ok() {
                drop(end.await);
            }
        };
        // Without it, the others wait for the Lease to run out.
        drop(timeout(RESIGN_LIMIT, resign).await);
    }
}

/// One unbroken time as the leader. A Lease that was lost and won back is another tenure: somebody else may have acted
/// in between.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    number: u64,
    standing: watch::Receiver<Standing>,
}

impl Tenure {
    /// Whether it goes on at this moment.
    pub(super) fn is_valid(&self) -> bool {
        self.standing.borrow().holds(self.number)
    }

    /// Counts the tenures of this process.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenure_ends_by_itself_and_the_next_one_is_another() {
        let (sender, receiver) = watch::channel(Standing { tenure: Some((1, Some(until(10)))), leader: None });
        let office = Office::elected(receiver, mpsc::channel(1).0);
        let first = office.tenure().unwrap();
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(first.is_valid());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!first.is_valid() && office.tenure().is_none());
        sender.send_replace(Standing { tenure: Some((2, Some(until(10)))), leader: None });
        assert!(!first.is_valid() && office.tenure().unwrap().is_valid());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenure_for_life_never_ends() {
        let office = Office::for_life("one");
        let tenure = office.tenure().unwrap();
        tokio::time::advance(Duration::from_secs(1_000_000)).await;
        assert!(tenure.is_valid() && !office.is_elected() && office.ends_at().is_none());
    }
}
