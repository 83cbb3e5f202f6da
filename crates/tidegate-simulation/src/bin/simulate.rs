//! `cargo xtask simulate`: many seeds, one seed in full, or the hunt for planted bugs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for a terminal")]

use std::io::Write;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use clap::Parser;
use tidegate_core::mutant::{Mutant, plant};
use tidegate_simulation::{SimulationError, Sweep, hunt, simulate, sweep};

/// Three controllers in half an hour of randomised faults, in virtual time; a seed is a run that repeats to the letter.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask simulate")]
struct Options {
    /// How many seeds to run
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads [default: one for each core]
    #[arg(long)]
    jobs: Option<usize>,
    /// Only this seed
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// With --seed: everything that happens, not only the end of a failure
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Plant this bug, to see it found
    #[arg(long, value_parser = mutant_of)]
    mutant: Option<Mutant>,
    /// Plant each bug in turn and count the seeds until it is found (at most --seeds)
    #[arg(long, conflicts_with_all = ["seed", "mutant", "from"])]
    mutants: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let jobs = options.jobs.unwrap_or_else(|| available_parallelism().map_or(1, std::num::NonZero::get));
    let outcome = match options.seed {
        _ if options.mutants => hunt_all(options.seeds, jobs),
        Some(seed) => run_one(seed, &options),
        None => run_many(Sweep { from: options.from, seeds: options.seeds, jobs }, options.mutant),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn mutant_of(name: &str) -> Result<Mutant, String> {
    let names: Vec<String> = Mutant::ALL.iter().map(|mutant| format!("{mutant:?}")).collect();
    let found = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}").eq_ignore_ascii_case(name));
    found.ok_or_else(|| format!("there is none of that name; cure: one of {}", names.join(", ")))
}

fn run_one(seed: u64, options: &Options) -> Result<bool, SimulationError> {
    plant(options.mutant);
    let report = simulate(seed, options.trace)?;
    if options.trace && report.violation.is_none() {
        report.trace.iter().for_each(|line| println!("  {line}"));
    }
    println!("{report}\ndigest {:016x}", report.digest);
    Ok(report.violation.is_none())
}

fn run_many(plan: Sweep, mutant: Option<Mutant>) -> Result<bool, SimulationError> {
    let start = Instant::now();
    let progress = |done: u64| {
        if done.is_multiple_of(50) {
            eprint!("\r{done} seeds");
            // A terminal that went away is no reason to stop.
            drop(std::io::stderr().flush());
        }
    };
    let tally = sweep(plan, move || plant(mutant), progress)?;
    eprintln!("\r{} seeds in {:.1} s", tally.seeds, start.elapsed().as_secs_f64());
    tally.failures.iter().for_each(|report| println!("{report}\n"));
    print!("{}", tally.counts);
    for (fault, count) in &tally.strikes {
        println!("{count:>12}  {fault}");
    }
    println!("{} of {} seeds broke a rule", tally.failures.len(), tally.seeds);
    Ok(tally.failures.is_empty())
}

fn hunt_all(limit: u64, jobs: usize) -> Result<bool, SimulationError> {
    println!("{:<22} {:>5}  found by", "planted bug", "seeds");
    let caught = hunt(&Mutant::ALL, limit, jobs)?;
    caught.iter().for_each(|prey| println!("{prey}"));
    Ok(caught.iter().all(|prey| prey.found.is_some()))
}
