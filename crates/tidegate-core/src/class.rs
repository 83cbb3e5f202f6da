//! What kind of failure an error is: the class alone decides whether to retry.

use serde::{Deserialize, Serialize};

/// Every error type of Tidegate answers `class()` with one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorClass {
    /// May succeed when tried again unchanged: retry with backoff.
    Transient,
    /// Will fail again until the input changes: tell a person, do not retry.
    Permanent,
    /// Somebody else wrote first: read again, then decide again.
    Conflict,
    /// A newer leadership exists: stop writing at once.
    Fenced,
}

impl ErrorClass {
    /// The word used in metric labels and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Conflict => "conflict",
            Self::Fenced => "fenced",
        }
    }
}
