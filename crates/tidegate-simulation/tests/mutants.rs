//! A simulation that finds nothing proves nothing: each planted bug breaks a rule within some seeds.
#![cfg(feature = "mutants")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use tidegate_core::mutant::Mutant;
use tidegate_simulation::hunt;

/// The rarest of them takes a third of these.
const LIMIT: u64 = 300;

#[test]
fn every_planted_bug_is_found() {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let caught = hunt(&Mutant::ALL, LIMIT, jobs).unwrap();
    let table: Vec<String> = caught.iter().map(ToString::to_string).collect();
    println!("{}", table.join("\n"));
    assert_eq!(caught.len(), Mutant::ALL.len());
    assert!(caught.iter().all(|prey| prey.found.is_some()), "{}", table.join("\n"));
}
