//! What a message does to the mailbox.

use std::sync::Arc;

use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::{ApplyReport, Outcome};

use super::Mailbox;
use crate::agent::job::{Job, Message, Reply};

impl Mailbox {
    /// Takes one message; a closed channel means that every handle is gone.
    pub(super) fn receive(&mut self, message: Option<Message>) {
        match message {
            Some(Message::Submit { state, reply }) => self.submit(Arc::new(*state), reply),
            Some(Message::Shutdown) | None => {
                self.closing = true;
                // Their replies are dropped: the handle answers that the agent is shutting down.
                self.pending = None;
                self.retry = None;
            }
        }
    }

    fn submit(&mut self, state: Arc<DesiredState>, reply: Reply) {
        if let Err(refusal) = self.admission.admit(&state) {
            tracing::warn!(%refusal, "refused a desired state");
            drop(reply.send(Err(refusal)));
            return;
        }
        let same = |job: &&mut Job| job.state.position == state.position;
        if let Some(job) = self.in_flight.as_mut().filter(same) {
            job.replies.push(reply);
            return;
        }
        if let Some(job) = self.pending.as_mut().filter(same) {
            job.replies.push(reply);
            return;
        }
        self.overtake(&state);
        self.probing.want(&state);
        self.newest = Some(state.clone());
        let mut job = Job::new(state, false);
        job.replies.push(reply);
        self.pending = Some(job);
        self.judge();
        self.upkeep.cancel();
    }

    /// Answers whoever waits for an older state that has not been started.
    fn overtake(&mut self, by: &DesiredState) {
        if self.newest.as_ref().is_some_and(|newest| newest.position < by.position) {
            self.retry = None;
        }
        let Some(old) = self.pending.take() else { return };
        let outcome = Outcome::Superseded { by: by.position };
        let report = ApplyReport { outcome, live: self.board.live(), timings: Vec::new() };
        self.metrics.applied(&report);
        old.answer(&report);
    }
}
