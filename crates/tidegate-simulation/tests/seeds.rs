//! Many seeds keep every rule, and a seed is a run that repeats to the letter.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use tidegate_simulation::{Sweep, simulate, sweep};

#[test]
fn a_seed_repeats_to_the_letter() {
    for seed in 0..6 {
        let [one, two] = [(); 2].map(|()| simulate(seed, true).unwrap());
        let differs = one.trace.iter().zip(&two.trace).position(|(a, b)| a != b);
        let around = |trace: &[String]| {
            trace.iter().skip(differs.unwrap_or(0).saturating_sub(5)).take(8).cloned().collect::<Vec<_>>()
        };
        assert_eq!(one.digest, two.digest, "seed {seed}\n{:#?}\n{:#?}", around(&one.trace), around(&two.trace));
        assert_eq!(one.steps, two.steps);
    }
}

#[test]
fn a_thousand_seeds_keep_every_rule() {
    let number = |name: &str, default| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let plan = Sweep { from: number("SEED_FROM", 0), seeds: number("SEEDS", 1000), jobs };
    let tally = sweep(plan, || {}, |_| {}).unwrap();
    let failures: Vec<String> = tally.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert_eq!(tally.seeds, plan.seeds);
    println!("{}{:#?}", tally.counts, tally.strikes);
    if plan.seeds >= 1000 {
        assert_eq!(tally.never(), Vec::<&str>::new(), "what never happened has proved nothing");
    }
}
