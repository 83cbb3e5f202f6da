//! Each engine under load while a node flaps and while it is itself reloaded whole; and datagrams to nodes that leave.

use std::time::{Duration, Instant};

use anyhow::Result;
use rstest::rstest;
use tidegate_core::engine::EngineKind;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::status::LoadBalancerStatus;
use tidegate_testbed::SiteOptions;
use tidegate_testbed::datagrams::{Datagrams, Echo};
use tidegate_testbed::scenario::{PORT, RunConfig, Scenario};
use tidegate_testbed::traffic::TrafficOptions;
use tokio::sync::Semaphore;

const REQUESTS: u64 = 100_000;
/// How long a node stays in, and out.
const FLIP: Duration = Duration::from_secs(2);
const FLIPS: u32 = 30;
/// Flips from one reload of the whole engine to the next: 20 s, longer than a connection to the ingress lives.
const RELOAD_EVERY: u32 = 10;
const UDP_PORT: u16 = 5353;

/// A load is a quarter of what a small machine can do, and lasts a minute: two at a time. Datagrams are lost where a
/// machine is busy: they have it for themselves.
static LOADS: Semaphore = Semaphore::const_new(2);

/// A node flips every 2 s for a minute; between, the engine gets another structure three times.
#[rstest]
#[case(EngineKind::Nginx)]
#[case(EngineKind::Haproxy)]
#[case(EngineKind::Envoy)]
#[case(EngineKind::Nftables)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_a_node_flaps_and_the_engine_is_reloaded(#[case] engine: EngineKind) -> Result<()> {
    let _load = LOADS.acquire().await?;
    let config = RunConfig { engine, join_delay: "0s", ..RunConfig::default() };
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), config).await?;
    let target = scene.site.lb_address(PORT)?;
    let traffic = scene.site.traffic(TrafficOptions::heavy(target))?;
    let begun = Instant::now();
    for flip in 0..FLIPS {
        let value = (flip % 2 == 0).then_some("true");
        scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, value).await?;
        if flip % RELOAD_EVERY == RELOAD_EVERY / 2 {
            let config = restructured(&scene.config, flip / RELOAD_EVERY);
            scene.reconfigure(config).await?;
            // The kernel has no process that could be replaced.
            if engine != EngineKind::Nftables {
                let anew = |lb: &LoadBalancerStatus| lb.reloads + lb.old_generations > 0;
                scene.wait("a reload told", |status| status.load_balancers.iter().any(anew)).await?;
            }
        }
        tokio::time::sleep_until((begun + FLIP * (flip + 1)).into()).await;
    }
    scene.wait_phase("worker-1", Phase::Active).await?;
    while traffic.stats().sent() < REQUESTS {
        tokio::time::sleep(FLIP).await;
    }
    let total = traffic.stop().await?;
    println!("{engine}: {FLIPS} flips, {} reloads: {total}", FLIPS / RELOAD_EVERY);
    assert_eq!(total.failed(), 0, "{total}");
    assert_eq!(total.retried_reset, 0, "a reused connection was reset: {total}");
    assert!(total.new.sent > 20_000 && total.keepalive.sent > 20_000, "both classes must be busy: {total}");
    assert!(total.by_node.contains_key("worker-1"), "the node that flaps must have served: {total}");
    Ok(())
}

/// What only a reload of the whole engine can put live: one listener more, or less; for Envoy, which takes listeners in
/// place, also one more thread, which it takes by a hot restart.
fn restructured(config: &RunConfig, time: u32) -> RunConfig {
    let more_listeners =
        if time.is_multiple_of(2) { vec![r#"{ name: more, bind: "0.0.0.0:81", targetPort: 80 }"#] } else { Vec::new() };
    let threads = ["concurrency: 3", "concurrency: 4", "concurrency: 5"];
    let engine_extra = match config.engine {
        EngineKind::Envoy => threads.get(time as usize).copied().unwrap_or_default(),
        _ => "",
    };
    RunConfig { more_listeners, engine_extra, ..config.clone() }
}

/// Once a node's drain is over, no datagram goes there, from old flows or new ones: it can be switched off.
#[rstest]
#[case(EngineKind::Nginx)]
#[case(EngineKind::Envoy)]
#[case(EngineKind::Nftables)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_datagram_is_lost_to_a_node_after_its_drain(#[case] engine: EngineKind) -> Result<()> {
    let _alone = LOADS.acquire_many(2).await?;
    let config = RunConfig {
        engine,
        join_delay: "0s",
        drain_timeout: "3s",
        more_listeners: vec![r#"{ name: dns, bind: "0.0.0.0:5353", protocol: udp, targetPort: 5353 }"#],
        ..RunConfig::default()
    };
    let mut scene = Scenario::serving(SiteOptions::without_lifecycle(), config).await?;
    let mut echoes = Vec::new();
    for name in ["worker-3", "worker-2", "worker-1"] {
        echoes.push(Echo::start(&scene.site.worker(name)?.host, name, UDP_PORT).await?);
    }
    let (client, target) = (&scene.site.client, scene.site.lb_address(UDP_PORT)?);
    let kept = Datagrams::start(client, target, 32, Duration::from_millis(20), None)?;
    let renewed = Datagrams::start(client, target, 8, Duration::from_millis(20), Some(5))?;
    tokio::time::sleep(FLIP).await;
    let before = [kept.take(), renewed.take()];
    for seen in &before {
        assert!(seen.lost == 0 && seen.by_node.len() == 3, "before anything leaves: {seen:?}");
    }

    scene.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    scene.wait_phase("worker-1", Phase::Out).await?;
    let during = [kept.take(), renewed.take()];
    // The machine is switched off: whatever still goes there is lost.
    drop(echoes.pop());
    tokio::time::sleep(FLIP * 2).await;
    let after = [kept.stop().await?, renewed.stop().await?];
    println!("{engine}: before {before:?}\nduring {during:?}\nafter {after:?}");
    // A worker of nginx that ends takes what it has read and not passed on with it: on a busy machine a few datagrams.
    let passing = if engine == EngineKind::Nginx { 100 } else { u64::MAX };
    for seen in &during {
        assert!(seen.lost <= seen.sent / passing, "during {during:?}");
    }
    for seen in &after {
        assert_eq!(seen.lost, 0, "after {after:?}");
    }
    for seen in &after {
        assert!(seen.sent > 500 && seen.by_node.len() == 2 && !seen.by_node.contains_key("worker-1"), "{after:?}");
    }
    Ok(())
}
