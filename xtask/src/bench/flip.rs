//! `bench flip`: thousands of nodes change in one burst; how often the engine is told, and whether the end is right.

use anyhow::{Result, ensure};
use tidegate_testbed::fleet::{Burst, Change, Fleet, FleetOptions, Told};

/// The goal for a burst that comes at once.
const APPLIES: f64 = 5.0;
/// One that comes over seconds: nginx reloads once a second at most; and the beginning and the end of the burst.
const ENDS: f64 = 3.0;

/// Flips.
#[derive(Debug, clap::Args)]
pub struct Flip {
    /// How many nodes the cluster has.
    #[arg(long, default_value_t = 5_000)]
    nodes: u32,
}

impl Flip {
    pub async fn measure(&self) -> Result<()> {
        let binary = crate::build::release_binary();
        let mut fleet = Fleet::serving(FleetOptions { binary, ..FleetOptions::new(self.nodes) }).await?;
        // A little less than half: of more, a guard asks whether that is meant.
        let share = fleet.bulk.members().len() * 48 / 100;
        println!(
            "{} nodes live behind one nginx (goal: at most {APPLIES} applies for a burst that comes at once, one a second for one that takes longer)",
            self.nodes
        );
        println!("| burst | told | taken within | live after | serving | commits | applies |");
        println!("|---|---|---|---|---|---|---|");
        let (there, back) = (Change::Excluded(share), Change::Included(share));
        let bursts = [Told::AsTheyCome, Told::AtOnce].into_iter().flat_map(|told| [(there, told), (back, told)]);
        let mass = [Change::AllFail, Change::AllWell].map(|change| (change, Told::AtOnce));
        let mut missed = Vec::new();
        for (change, told) in bursts.chain(mass) {
            let burst = fleet.burst(change, told).await?;
            show(&burst);
            if burst.applies > limit(&burst) {
                missed.push(format!("{change}, {told}: {} applies", burst.applies));
            }
        }
        ensure!(missed.is_empty(), "the goal is missed: {}", missed.join("; "));
        Ok(())
    }
}

fn show(burst: &Burst) {
    let Burst { change, told, took, settled, applies, commits, serving } = burst;
    println!("| {change} | {told} | {took:.1?} | {settled:.1?} | {serving} | {commits} | {applies} |");
}

fn limit(burst: &Burst) -> f64 {
    match burst.told {
        Told::AtOnce => APPLIES,
        Told::AsTheyCome => APPLIES.max((burst.took + burst.settled).as_secs_f64() + ENDS),
    }
}
