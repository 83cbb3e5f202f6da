//! Nodes that die while Kubernetes believes them Ready: each engine's load balancer sends them nothing new within moments,
//! however they die, and takes them back when they live again. How fast is measured by `cargo xtask bench crash`.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use rstest::rstest;
use tidegate_core::engine::EngineKind;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::crash::{Crash, PROBES, VICTIM, Witness, probed, serving};
use tidegate_testbed::scenario::PORT;
use tidegate_testbed::traffic::TrafficOptions;

/// After a verdict is in the status, it is live: no new connection may come later than this.
const SETTLED: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_secs(1);

/// Two loads at a time would measure each other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn is_out(status: &ClusterStatus) -> bool {
    probed(status, true)
}

fn is_in(status: &ClusterStatus) -> bool {
    probed(status, false)
}

/// One engine dies every death; what the others do differs only where packets vanish, are refused, or nobody answers.
fn kinds(engine: EngineKind) -> Vec<Crash> {
    match engine {
        EngineKind::Nginx => Crash::ALL.to_vec(),
        _ => vec![Crash::Unplugged, Crash::Killed, Crash::Silent],
    }
}

#[rstest]
#[case(EngineKind::Nginx)]
#[case(EngineKind::Haproxy)]
#[case(EngineKind::Envoy)]
#[case(EngineKind::Nftables)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_gets_nothing_new_however_it_dies(#[case] engine: EngineKind) -> Result<()> {
    let _alone = ALONE.lock().await;
    let mut scene = serving(SiteOptions::without_lifecycle(), engine, PROBES).await?;
    scene.wait("every node asked", is_in).await?;
    let witness = Witness::start(&scene.site)?;
    let traffic = scene.site.traffic(TrafficOptions::new(scene.site.lb_address(PORT)?))?;
    let victim = scene.site.worker(VICTIM)?.host.ipv4();
    let begun = SystemTime::now();
    tokio::time::sleep(LOOK).await;
    ensure!(!witness.dials(victim, begun)?.is_empty(), "the witness sees nothing");
    for crash in kinds(engine) {
        let (before, died) = (traffic.stats(), SystemTime::now());
        crash.strike(scene.site.worker(VICTIM)?)?;
        scene.wait(&format!("{crash}: out"), is_out).await?;
        let out = died.elapsed()?;
        tokio::time::sleep(SETTLED + LOOK).await;
        let late: Vec<Duration> = witness.dials(victim, died)?.into_iter().filter(|at| *at > out + SETTLED).collect();
        let lost = traffic.stats().since(&before).failed();
        println!("{engine}, {crash}: out after {out:.0?}, {lost} requests lost");
        assert!(late.is_empty(), "{engine}, {crash}: out after {out:?}, but still dialled at {late:?}");
        let healed = SystemTime::now();
        crash.heal(scene.site.worker(VICTIM)?).await?;
        scene.wait(&format!("{crash}: back"), is_in).await?;
        tokio::time::sleep(LOOK).await;
        assert!(!witness.dials(victim, healed)?.is_empty(), "{engine}, {crash}: it serves again");
    }
    traffic.stop().await?;
    Ok(())
}
