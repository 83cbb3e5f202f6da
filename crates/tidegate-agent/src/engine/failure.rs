//! Failures of engines, with a class and a cure.

use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::Failure;
use tidegate_core::step::Step;

use crate::command::CommandError;

/// The failure of a command that did not end.
pub fn from_command(step: Step, error: &CommandError) -> Failure {
    Failure { step, class: error.class(), message: error.to_string(), cure: error.cure().to_owned() }
}

/// A failure that may go away by itself.
pub fn transient(step: Step, message: impl Into<String>, cure: impl Into<String>) -> Failure {
    Failure { step, class: ErrorClass::Transient, message: message.into(), cure: cure.into() }
}

/// A failure that stays until a person acts.
pub fn permanent(step: Step, message: impl Into<String>, cure: impl Into<String>) -> Failure {
    Failure { step, class: ErrorClass::Permanent, message: message.into(), cure: cure.into() }
}
