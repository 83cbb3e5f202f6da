//! Every reader of what others write, fuzzed: hooks, values of templates, snapshots, configurations, and what engines and
//! the kernel answer.
//!
//! `FUZZ_SECONDS` (2 unless set, 60 in `cargo xtask test`) and `FUZZ_SEED`; a finding says how to see it again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that stops is a test that fails"
)]

mod configuration;
mod envoy;
mod haproxy;
mod hook;
mod itself;
mod kernel;
mod nftables;
mod snapshot;
mod states;
mod values;

use tidegate_testbed::fuzz::{Budget, Target, again, guarded, is_child, run};

fn targets() -> Vec<Target> {
    vec![
        hook::target(),
        values::target(),
        snapshot::target(),
        configuration::target(),
        haproxy::answers(),
        haproxy::files(),
        envoy::answers(),
        envoy::files(),
        nftables::answers(),
        nftables::files(),
        kernel::target(),
    ]
}

#[test]
fn nothing_that_others_write_breaks_its_reader() {
    if let Some(verdict) = again(&targets()).unwrap() {
        println!("{verdict:?}");
        return;
    }
    let said = guarded("lanes", Budget::from_env().unwrap().seed).unwrap_or_else(|error| panic!("{error}"));
    println!("{said}");
}

/// The process that may die; as a test of its own it has nothing to do.
#[test]
fn lanes() {
    if !is_child() {
        return;
    }
    let tallies = run(targets(), &Budget::from_env().unwrap()).unwrap_or_else(|finding| panic!("{finding}"));
    for tally in tallies {
        println!("{tally}");
    }
}
