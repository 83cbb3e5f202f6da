//! Hundreds of nodes change in one burst: the engine is told a few times, and the end is right. `cargo xtask bench flip` does
//! the same with 5,000.

use anyhow::Result;
use tidegate_testbed::fleet::{Change, Fleet, FleetOptions, Told};

const NODES: u32 = 600;
/// Less than half: of more, a guard asks whether that is meant.
const SHARE: usize = 280;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_a_few_applies_and_guards_keep_everybody_when_all_fail() -> Result<()> {
    let mut fleet = Fleet::serving(FleetOptions::new(NODES)).await?;
    for change in [Change::Excluded(SHARE), Change::Included(SHARE), Change::AllFail, Change::AllWell] {
        // As they come, it would be more on a machine that is busy: each takes longer then.
        let burst = fleet.burst(change, Told::AtOnce).await?;
        println!("{burst:?}");
        assert!(burst.applies <= 5.0, "{burst:?}");
    }
    Ok(())
}
