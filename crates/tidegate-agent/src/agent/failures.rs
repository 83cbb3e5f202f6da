//! Candidates that failed, by what they would have served: the same text would fail again.

use std::collections::VecDeque;

use tidegate_core::hash::ContentHash;
use tidegate_core::protocol::Failure;

/// More different candidates than these do not fail between two that succeed, unless all do.
const LIMIT: usize = 32;

/// The newest failures.
#[derive(Clone, Debug, Default)]
pub struct FailedCandidates {
    newest_last: VecDeque<(ContentHash, Failure)>,
}

impl FailedCandidates {
    /// How this candidate failed before.
    pub fn get(&self, generation: ContentHash) -> Option<&Failure> {
        self.newest_last.iter().find(|(g, _)| *g == generation).map(|(_, failure)| failure)
    }

    /// Notes a failure.
    pub fn note(&mut self, generation: ContentHash, failure: Failure) {
        self.forget(generation);
        self.newest_last.push_back((generation, failure));
        if self.newest_last.len() > LIMIT {
            self.newest_last.pop_front();
        }
    }

    /// Forgets one that succeeded, or is tried again.
    pub fn forget(&mut self, generation: ContentHash) {
        self.newest_last.retain(|(g, _)| *g != generation);
    }
}
