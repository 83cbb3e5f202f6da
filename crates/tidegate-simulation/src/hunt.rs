//! Plants one bug after the other, and counts the seeds until a rule is broken.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tidegate_core::mutant::{Mutant, plant};

use crate::run::{Report, SimulationError, simulate};

/// What came of one planted bug.
#[derive(Clone, Debug)]
pub struct Prey {
    /// The bug.
    pub mutant: Mutant,
    /// How many seeds ran, from 0 on.
    pub seeds: u64,
    /// The first seed in which a rule was broken.
    pub found: Option<Report>,
}

/// Hunts each of these bugs through the seeds from 0 to `limit`.
pub fn hunt(mutants: &[Mutant], limit: u64, jobs: usize) -> Result<Vec<Prey>, SimulationError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut caught = Vec::new();
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            caught.push(hunt_one(*mutant, limit)?);
        }
        Ok(caught)
    };
    let caught: Vec<Result<Vec<Prey>, SimulationError>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut all: Vec<Prey> = caught.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    all.sort_by_key(|prey| prey.mutant);
    Ok(all)
}

fn hunt_one(mutant: Mutant, limit: u64) -> Result<Prey, SimulationError> {
    let mut prey = Prey { mutant, seeds: 0, found: None };
    plant(Some(mutant));
    while prey.seeds < limit && prey.found.is_none() {
        let report = simulate(prey.seeds, false)?;
        prey.seeds += 1;
        prey.found = Some(report).filter(|report| report.violation.is_some());
    }
    plant(None);
    Ok(prey)
}

impl fmt::Display for Prey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mutant = format!("{:?}", self.mutant);
        let verdict = self.found.as_ref().and_then(|report| report.violation.as_ref());
        let verdict = verdict.map_or_else(|| "NOT FOUND".to_owned(), |violation| format!("{:?}", violation.invariant));
        write!(f, "{mutant:<22} {:>5}  {verdict}", self.seeds)
    }
}
