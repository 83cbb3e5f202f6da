//! One target in its thread.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::guard::BlackBox;
use super::mutate::{Corpus, Mutator};
use super::quiet::{THREAD, caught};
use super::{Budget, Finding, Target, Verdict, What};

/// Inputs that are kept beside the corpus.
const KEPT: usize = 512;
/// Of those that were read one in so many is kept: they are alike.
const KEPT_ACCEPTED: u64 = 4;
/// Executions that minimising may take.
const MINIMISING: usize = 3_000;
/// The stack of a thread of tokio's, in which most readers run.
const STACK: usize = 2 * 1024 * 1024;

/// When a lane ends.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) budget: Budget,
    pub(super) until: Instant,
    pub(super) grace: Duration,
    pub(super) stop: Arc<AtomicBool>,
}

/// What a target has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Of the target.
    pub name: &'static str,
    /// All of them.
    pub executions: u64,
    /// Those whose input was read, beside the real messages.
    pub accepted: u64,
    /// How many different reasons there were for refusing the others.
    pub reasons: usize,
    /// The one that took longest.
    pub slowest: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, executions, accepted, reasons, slowest } = self;
        let slowest = slowest.as_millis();
        write!(
            f,
            "{name:<18} {executions:>8} executions, {accepted:>7} accepted, {reasons:>4} reasons to refuse, slowest {slowest} ms"
        )
    }
}

/// What the watching thread sees.
#[derive(Default)]
struct Progress {
    executions: AtomicU64,
    /// The input that is being read, and since when.
    reading: Mutex<Option<(Instant, Vec<u8>)>>,
}

pub(super) struct Lane {
    name: &'static str,
    progress: Arc<Progress>,
    thread: JoinHandle<Result<Tally, Finding>>,
}

impl Lane {
    pub(super) fn start(target: Target, rules: &Rules) -> Self {
        let progress = Arc::new(Progress::default());
        let name = target.name;
        let runner = Runner::new(target, rules.clone(), progress.clone());
        let builder = std::thread::Builder::new().name(format!("{THREAD}{name}")).stack_size(STACK);
        #[allow(clippy::expect_used, reason = "a machine without threads runs no test")]
        let thread = builder.spawn(move || runner.run()).expect("starting a thread");
        Self { name, progress, thread }
    }

    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// The execution that does not end, if there is one.
    pub(super) fn hanging(&self, budget: &Budget) -> Option<Finding> {
        let reading = self.progress.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, input) = reading.as_ref().filter(|(since, _)| since.elapsed() > budget.patience)?;
        let execution = self.progress.executions.load(Ordering::Relaxed);
        let what = What::Hangs(budget.patience);
        Some(Finding { target: self.name.to_owned(), seed: budget.seed, execution, what, input: input.clone() })
    }

    pub(super) fn end(self) -> Result<Tally, Finding> {
        let ended = self.thread.join();
        let died = |_| Finding {
            target: self.name.to_owned(),
            seed: 0,
            execution: self.progress.executions.load(Ordering::Relaxed),
            what: What::Panicked("the fuzzer itself".to_owned()),
            input: Vec::new(),
        };
        ended.map_err(died)?
    }
}

struct Runner {
    target: Target,
    rules: Rules,
    progress: Arc<Progress>,
    black_box: Option<BlackBox>,
    mutator: Mutator,
    reasons: HashSet<String>,
    tally: Tally,
}

impl Runner {
    fn new(target: Target, rules: Rules, progress: Arc<Progress>) -> Self {
        let mutator = Mutator::new(Dice::new(rules.budget.seed, target.name), target.dictionary);
        let (name, slowest) = (target.name, Duration::ZERO);
        let tally = Tally { name, executions: 0, accepted: 0, reasons: 0, slowest };
        let (black_box, reasons) = (BlackBox::of(name), HashSet::new());
        Self { target, rules, progress, black_box, mutator, reasons, tally }
    }

    fn run(mut self) -> Result<Tally, Finding> {
        let ended = self.fuzz();
        if ended.is_err() {
            self.rules.stop.store(true, Ordering::Relaxed);
        }
        if let Some(black_box) = &self.black_box {
            black_box.close();
        }
        ended.map(|()| self.tally)
    }

    fn fuzz(&mut self) -> Result<(), Finding> {
        let mut corpus = Corpus { good: self.target.corpus.clone(), odd: Vec::new() };
        let real = corpus.good.len();
        for input in self.target.corpus.clone() {
            self.execute(&input)?;
        }
        self.tally.accepted = 0;
        while self.goes_on() {
            let input = self.mutator.next(&corpus);
            match self.execute(&input)? {
                // The real messages stay; of the others the oldest goes.
                Worth::Good => keep(&mut corpus.good, input, real),
                Worth::Odd => keep(&mut corpus.odd, input, 0),
                Worth::Nothing => {}
            }
        }
        self.tally.reasons = self.reasons.len();
        let stopped = self.rules.stop.load(Ordering::Relaxed);
        self.trivial().filter(|_| !stopped).map_or(Ok(()), |why| Err(self.finding(What::Trivial(why), Vec::new())))
    }

    fn goes_on(&self) -> bool {
        let now = Instant::now();
        let wanted = now < self.rules.until || self.tally.executions < self.rules.budget.least;
        wanted && now < self.rules.until + self.rules.grace && !self.rules.stop.load(Ordering::Relaxed)
    }

    fn execute(&mut self, input: &[u8]) -> Result<Worth, Finding> {
        let began = Instant::now();
        *self.progress.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some((began, input.to_vec()));
        if let Some(black_box) = &self.black_box {
            black_box.note(input);
        }
        let verdict = caught(|| (self.target.check)(input));
        *self.progress.reading.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.tally.slowest = self.tally.slowest.max(began.elapsed());
        self.tally.executions += 1;
        self.progress.executions.store(self.tally.executions, Ordering::Relaxed);
        match verdict {
            Ok(Verdict::Accepted) => {
                self.tally.accepted += 1;
                Ok(if self.tally.accepted.is_multiple_of(KEPT_ACCEPTED) { Worth::Good } else { Worth::Nothing })
            }
            Ok(Verdict::Refused(reason)) => {
                Ok(if self.reasons.insert(kind_of(&reason)) { Worth::Odd } else { Worth::Nothing })
            }
            Err(message) => {
                let input = self.minimised(input);
                Err(self.finding(What::Panicked(message), input))
            }
        }
    }

    fn finding(&self, what: What, input: Vec<u8>) -> Finding {
        let (target, seed) = (self.tally.name.to_owned(), self.rules.budget.seed);
        Finding { target, seed, execution: self.tally.executions, what, input }
    }

    /// Leaves out pieces, large ones first, as long as it still fails.
    fn minimised(&self, input: &[u8]) -> Vec<u8> {
        let (mut smallest, mut left) = (input.to_vec(), MINIMISING);
        let mut size = input.len().div_ceil(2);
        while size > 0 && left > 0 {
            let mut at = 0;
            while at < smallest.len() && left > 0 {
                let mut shorter = smallest.clone();
                shorter.drain(at..(at + size).min(shorter.len()));
                left -= 1;
                if caught(|| (self.target.check)(&shorter)).is_err() {
                    smallest = shorter;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        smallest
    }

    fn trivial(&self) -> Option<String> {
        let Tally { executions, accepted, reasons, .. } = self.tally;
        if executions < self.rules.budget.least {
            return Some(format!("only {executions} executions, {} are the least", self.rules.budget.least));
        }
        if accepted == 0 {
            return Some(format!("none of {executions} inputs was accepted"));
        }
        (reasons == 0).then(|| format!("none of {executions} inputs was refused"))
    }
}

/// What an input is good for.
enum Worth {
    /// It was read.
    Good,
    /// It was refused for a new reason.
    Odd,
    /// It is like others.
    Nothing,
}

/// Keeps it and lets the oldest go, but none of the first `stay`.
fn keep(list: &mut Vec<Vec<u8>>, input: Vec<u8>, stay: usize) {
    if list.len() >= stay + KEPT {
        list.remove(stay);
    }
    list.push(input);
}

/// The reason without what is different each time: numbers, places, pieces of the input.
fn kind_of(reason: &str) -> String {
    let words = reason.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 2);
    words.take(24).collect::<Vec<_>>().join(" ")
}
