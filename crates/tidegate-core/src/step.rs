//! The steps of the apply pipeline, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One step of the pipeline render -> validate -> swap -> reload -> verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Template and desired state to text; pure.
    Render,
    /// The engine's own checker, on the candidate.
    Validate,
    /// The candidate takes the place of the live file, atomically.
    Swap,
    /// The engine is told.
    Reload,
    /// The engine is asked what is live.
    Verify,
}

impl Step {
    /// All steps, in their order.
    pub const ALL: [Self; 5] = [Self::Render, Self::Validate, Self::Swap, Self::Reload, Self::Verify];

    /// The word used in metric labels and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Render => "render",
            Self::Validate => "validate",
            Self::Swap => "swap",
            Self::Reload => "reload",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
