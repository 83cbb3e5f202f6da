//! Nodes that die while Kubernetes believes them Ready: each engine's load balancer sends them nothing new within moments,
//! however they die, and takes them back when they live again. How fast is measured by `cargo xtask bench crash`.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use rstest::rstest;
use tidegate_core::engine::EngineKind;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::crash::{Crash, Witness, add_address};
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario};
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::{Site, SiteOptions};

const VICTIM: &str = "worker-2";
/// The prober asks from an address of its own, so that a witness can tell it from the traffic.
const PROBER: &str = "10.77.0.250";
/// After a verdict is in the status, it is live: no new connection may come later than this.
const SETTLED: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_secs(1);

/// Two loads at a time would measure each other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn is_out(status: &ClusterStatus) -> bool {
    let mut victims = status.load_balancers.iter().flat_map(|lb| &lb.backends).filter(|b| b.node.as_str() == VICTIM);
    victims.all(|b| b.probe.as_ref().is_some_and(|probe| probe.out))
}

fn is_in(status: &ClusterStatus) -> bool {
    let mut victims = status.load_balancers.iter().flat_map(|lb| &lb.backends).filter(|b| b.node.as_str() == VICTIM);
    victims.all(|b| b.probe.as_ref().is_some_and(|probe| !probe.out))
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
    let config = RunConfig {
        engine,
        listener_extra: "probe: { http: { path: /healthz } }",
        agent_extra: "probes: { sources: [ 10.77.0.250 ] }",
        ..RunConfig::default()
    };
    let prober = PROBER.parse()?;
    let site = Site::start(SiteOptions::without_lifecycle()).await?;
    add_address(&site.lb(Site::LB)?.host, prober)?;
    let mut scene = Scenario::serving_on(site, config).await?;
    scene.wait("every node asked", is_in).await?;
    let witness = Witness::start(&scene.site.lb(Site::LB)?.host, prober, scene.site.folder())?;
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
