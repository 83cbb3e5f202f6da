//! What comes into the mailbox, and what waits in it.

use std::sync::Arc;

use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::{ApplyReport, Refusal};
use tokio::sync::oneshot;

use super::content::Content;
use crate::pipeline::{Rendered, Timings};

/// The answer to one submission.
pub type Reply = oneshot::Sender<Result<ApplyReport, Refusal>>;

/// One message to the mailbox.
pub enum Message {
    /// A state, in process or by hook.
    Submit {
        /// The state.
        state: Box<DesiredState>,
        /// Where the answer goes.
        reply: Reply,
    },
    /// End after the apply in flight.
    Shutdown,
}

/// An admitted state that is to be applied.
pub struct Job {
    /// The state.
    pub state: Arc<DesiredState>,
    /// Everyone who waits for it: pushes may repeat.
    pub replies: Vec<Reply>,
    /// Whether it is tried again though it failed before.
    pub again: bool,
    /// Set once it is known to need an apply.
    pub prepared: Option<Ready>,
}

/// What is ready to be applied.
pub struct Ready {
    /// What was rendered, and from what.
    pub content: Content,
    /// As text.
    pub rendered: Rendered,
    /// With the rendering among them.
    pub timings: Timings,
}

impl Job {
    /// A job that nobody waits for yet.
    pub const fn new(state: Arc<DesiredState>, again: bool) -> Self {
        Self { state, replies: Vec::new(), again, prepared: None }
    }

    /// Answers everyone who waits.
    pub fn answer(self, report: &ApplyReport) {
        answer(self.replies, report);
    }
}

/// Answers these.
pub fn answer(replies: Vec<Reply>, report: &ApplyReport) {
    for reply in replies {
        // Who no longer listens needs no answer.
        drop(reply.send(Ok(report.clone())));
    }
}
