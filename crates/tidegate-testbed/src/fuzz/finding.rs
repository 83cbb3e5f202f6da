//! What a fuzzer found, with all that is needed to see it again.

use std::fmt;
use std::time::Duration;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A property did not hold, or a reader panicked: the message with its place.
    Panicked(String),
    /// One execution took longer than this.
    Hangs(Duration),
    /// The process ended while this was read: a stack that is used up, an allocation without bounds.
    Killed(String),
    /// Too few executions, or none that was accepted, or none that was refused: such a target shows nothing.
    Trivial(String),
}

/// What a fuzzer found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The target's name.
    pub target: String,
    /// Of the run.
    pub seed: u64,
    /// How many executions it took.
    pub execution: u64,
    /// What went wrong.
    pub what: What,
    /// The smallest input found that does it.
    pub input: Vec<u8>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seed, execution, what, input } = self;
        write!(f, "fuzz target {target}, FUZZ_SEED={seed}, execution {execution}: ")?;
        match what {
            What::Panicked(message) => writeln!(f, "{message}")?,
            What::Hangs(after) => writeln!(f, "no end after {} s", after.as_secs())?,
            What::Killed(how) => writeln!(f, "the process ended ({how})")?,
            What::Trivial(why) => return writeln!(f, "{why}"),
        }
        writeln!(f, "input, {} bytes: \"{}\"", input.len(), input.escape_ascii())?;
        let hex = hex::encode(input);
        write!(f, "again: FUZZ_TARGET={target} FUZZ_INPUT={hex} cargo test -p tidegate-testbed --test fuzz")
    }
}

impl std::error::Error for Finding {}
