//! Many seeds keep every rule, and a seed is a run that repeats to the letter.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use tidegate_simulation::simulate;

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
