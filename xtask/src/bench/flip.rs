//! `bench flip`: thousands of nodes change in one burst; how often the engine is told, and whether the end is right.

use anyhow::{Result, ensure};
use tidegate_testbed::fleet::{Burst, Change, Fleet, FleetOptions, Told};

/// The goal.
const APPLIES: f64 = 5.0;

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
        println!("{} nodes live behind one nginx (goal: at most {APPLIES} applies for a burst)", self.nodes);
        println!("| burst | told | taken within | live after | serving | commits | applies |");
        println!("|---|---|---|---|---|---|---|");
        let mut most = 0.0_f64;
        for told in [Told::AsTheyCome, Told::AtOnce] {
            for change in [Change::Excluded(share), Change::Included(share)] {
                most = most.max(row(&fleet.burst(change, told).await?));
            }
        }
        for change in [Change::AllFail, Change::AllWell] {
            most = most.max(row(&fleet.burst(change, Told::AtOnce).await?));
        }
        ensure!(most <= APPLIES, "the goal is missed: {most} applies");
        Ok(())
    }
}

fn row(burst: &Burst) -> f64 {
    let Burst { change, told, took, settled, applies, commits, serving } = burst;
    println!("| {change} | {told} | {took:.1?} | {settled:.1?} | {serving} | {commits} | {applies} |");
    *applies
}
