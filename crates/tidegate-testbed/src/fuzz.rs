//! A bounded fuzzer for stable Rust: seeded mutations of real messages, several targets side by side, each with the
//! properties that it must keep.
//!
//! A target is a function that reads bytes and says whether it took them; whatever it asserts is a property. Panics are
//! caught, minimised and shown with what repeats them; an execution that does not end is reported with its input. What ends
//! the process (a stack that is used up, an allocation without bounds) is found by the parent, see [`guarded`].
//!
//! Without instrumentation there is no coverage to follow. Instead inputs that were refused for a reason that was not seen
//! before join the corpus, for they came further than, or elsewhere than, those before them; and some that were read.

mod dice;
mod finding;
mod guard;
mod lane;
mod mutate;
mod quiet;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use finding::{Finding, What};
pub use guard::{guarded, is_child};
pub use lane::Tally;

use lane::{Lane, Rules};

/// What a target made of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was read, and every property held.
    Accepted,
    /// It was refused, for this reason.
    Refused(String),
}

impl Verdict {
    /// Of a reader's answer.
    pub fn of<T, E: ToString>(answer: &Result<T, E>) -> Self {
        match answer {
            Ok(_) => Self::Accepted,
            Err(error) => Self::Refused(error.to_string()),
        }
    }
}

/// A reader with what must be true of it.
pub type Check = Box<dyn Fn(&[u8]) -> Verdict + Send + Sync>;

/// One reader with its properties.
pub struct Target {
    /// Unique.
    pub name: &'static str,
    /// What it reads in real life.
    pub corpus: Vec<Vec<u8>>,
    /// Words that mean something to it.
    pub dictionary: &'static [&'static str],
    /// Panics when a property does not hold.
    pub check: Check,
}

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Decides every input.
    pub seed: u64,
    /// How long targets run, all at once.
    pub time: Duration,
    /// Executions that each target must reach, if need be in more time.
    pub least: u64,
    /// How long a single execution may take; on a busy machine a thread may wait for a second.
    pub patience: Duration,
}

/// More time for a target that has not had enough executions.
const GRACE: Duration = Duration::from_secs(120);
const DEFAULT_SEED: u64 = 0x71DE_6A7E;
const LEAST: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(10);

impl Budget {
    /// `FUZZ_SECONDS` (2 unless set) and `FUZZ_SEED`.
    pub fn from_env() -> Result<Self> {
        let number = |name: &str, default: u64| match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text} is no number")),
            Err(_) => Ok(default),
        };
        let (seed, seconds) = (number("FUZZ_SEED", DEFAULT_SEED)?, number("FUZZ_SECONDS", 2)?);
        Ok(Self { seed, time: Duration::from_secs(seconds), least: LEAST, patience: PATIENCE })
    }
}

/// Runs every target in a thread of its own, until the time is over and each has had its executions.
///
/// The first finding ends all of them. A thread that hangs is left behind: it ends with the process.
pub fn run(targets: Vec<Target>, budget: &Budget) -> Result<Vec<Tally>, Finding> {
    quiet::silence_fuzzers();
    let stop = Arc::new(AtomicBool::new(false));
    let rules = Rules { budget: *budget, until: Instant::now() + budget.time, grace: GRACE, stop: stop.clone() };
    let lanes: Vec<Lane> = targets.into_iter().map(|target| Lane::start(target, &rules)).collect();
    while lanes.iter().any(|lane| !lane.is_over()) {
        if let Some(hang) = lanes.iter().find_map(|lane| lane.hanging(budget)) {
            stop.store(true, Ordering::Relaxed);
            return Err(hang);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    lanes.into_iter().map(Lane::end).collect()
}

/// One input once more: `FUZZ_TARGET` and `FUZZ_INPUT` (hexadecimal), as a finding shows them.
pub fn again(targets: &[Target]) -> Result<Option<Verdict>> {
    let Ok(name) = std::env::var("FUZZ_TARGET") else { return Ok(None) };
    let target = targets.iter().find(|target| target.name == name);
    let target = target.with_context(|| format!("FUZZ_TARGET={name} is no target"))?;
    let input = hex::decode(std::env::var("FUZZ_INPUT").context("FUZZ_TARGET without FUZZ_INPUT")?)?;
    Ok(Some((target.check)(&input)))
}
