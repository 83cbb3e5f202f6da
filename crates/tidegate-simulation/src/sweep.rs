//! Many seeds, on several threads; each seed on one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::count::Counts;
use crate::fault;
use crate::run::{Report, SimulationError, simulate};

/// Which seeds to run.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// On how many threads.
    pub jobs: usize,
}

/// What came of them.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Seeds that ran.
    pub seeds: u64,
    /// How often what happened, over all of them.
    pub counts: Counts,
    /// How often each fault made a difference, over all of them.
    pub strikes: BTreeMap<&'static str, u64>,
    /// Seeds in which a rule was broken, the lowest first.
    pub failures: Vec<Report>,
}

/// Failures after which no more seeds are begun.
const ENOUGH: usize = 10;
/// A seed takes less than a second. One that takes this long, in real time, never ends.
const HANGS: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a thread says.
enum Word {
    Begins(usize, u64),
    Ends(usize, Result<Report, SimulationError>),
}

struct Work<P> {
    plan: Sweep,
    next: AtomicU64,
    stop: AtomicBool,
    prepare: P,
}

/// Runs the seeds; `prepare` is called once on each thread, `progress` with the number of seeds done. Ends early when
/// many fail, or one does not end.
pub fn sweep(
    plan: Sweep,
    prepare: impl Fn() + Send + Sync + 'static,
    mut progress: impl FnMut(u64),
) -> Result<Tally, SimulationError> {
    let work = Arc::new(Work { plan, next: AtomicU64::new(0), stop: AtomicBool::new(false), prepare });
    let (sender, words) = mpsc::channel();
    for worker in 0..plan.jobs.max(1) {
        let (work, sender) = (work.clone(), sender.clone());
        // Not scoped: nobody could wait for a thread whose seed never ends.
        thread::spawn(move || work.run(worker, &sender));
    }
    drop(sender);
    let (mut tally, mut busy) = (Tally::default(), BTreeMap::new());
    loop {
        match words.recv_timeout(LOOK_EVERY) {
            Ok(Word::Begins(worker, seed)) => drop(busy.insert(worker, (seed, Instant::now()))),
            Ok(Word::Ends(worker, report)) => {
                busy.remove(&worker);
                tally.add(report?);
                progress(tally.seeds);
                work.stop.fetch_or(tally.failures.len() >= ENOUGH, Ordering::Relaxed);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            // A thread that broke off has left its seed behind.
            Err(mpsc::RecvTimeoutError::Disconnected) => match busy.values().next() {
                Some((seed, _)) => return Err(SimulationError::NoEnd { seed: *seed }),
                None => break,
            },
        }
        if let Some((seed, _)) = busy.values().find(|(_, since)| since.elapsed() > HANGS) {
            work.stop.store(true, Ordering::Relaxed);
            return Err(SimulationError::NoEnd { seed: *seed });
        }
    }
    tally.failures.sort_by_key(|report| report.seed);
    Ok(tally)
}

impl<P: Fn()> Work<P> {
    fn run(&self, worker: usize, words: &mpsc::Sender<Word>) {
        (self.prepare)();
        while !self.stop.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.plan.seeds {
                return;
            }
            let seed = self.plan.from + index;
            let heard = words.send(Word::Begins(worker, seed)).is_ok()
                && words.send(Word::Ends(worker, simulate(seed, false))).is_ok();
            if !heard {
                return;
            }
        }
    }
}

impl Tally {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.counts += report.counts;
        for (fault, count) in &report.strikes {
            *self.strikes.entry(fault).or_default() += count;
        }
        if report.violation.is_some() {
            self.failures.push(report);
        }
    }

    /// What never happened in any seed, and faults that never made a difference: they have proved nothing.
    pub fn never(&self) -> Vec<&'static str> {
        let faults = fault::names().into_iter().filter(|name| !self.strikes.contains_key(name));
        self.counts.never().into_iter().chain(faults).collect()
    }
}
