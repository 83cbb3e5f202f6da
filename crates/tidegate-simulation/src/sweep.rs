//! Many seeds, on several threads; each seed on one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::count::Counts;
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
    /// Seeds in which a rule was broken, the lowest first.
    pub failures: Vec<Report>,
}

/// Failures after which no more seeds are begun.
const ENOUGH: u64 = 10;

/// Runs the seeds; `prepare` is called once on each thread. Ends early when many fail.
pub fn sweep(plan: Sweep, prepare: impl Fn() + Sync, progress: impl Fn(u64) + Sync) -> Result<Tally, SimulationError> {
    let (next, done, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let work = || {
        prepare();
        let mut tally = Tally::default();
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= plan.seeds {
                break;
            }
            let report = simulate(plan.from + index, false)?;
            tally.seeds += 1;
            tally.counts += report.counts;
            if report.violation.is_some() {
                tally.failures.push(report);
                if failed.fetch_add(1, Ordering::Relaxed) + 1 >= ENOUGH {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
        Ok(tally)
    };
    let tallies: Vec<Result<Tally, SimulationError>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut all = Tally::default();
    for tally in tallies {
        let tally = tally?;
        all.seeds += tally.seeds;
        all.counts += tally.counts;
        all.failures.extend(tally.failures);
    }
    all.failures.sort_by_key(|report| report.seed);
    Ok(all)
}
