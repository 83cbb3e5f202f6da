//! Three controllers, one leader: killed, stopped in an orderly way, frozen in the middle of a write, cut off.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tidegate_core::log::Phase;
use tidegate_core::policy::EXCLUDE_LABEL;
use tidegate_core::position::Term;
use tidegate_core::status::ClusterStatus;
use tidegate_testbed::process::procfs::is_stopped;
use tidegate_testbed::replicas::{LIMIT, ReplicaConfig, Replicas};
use tidegate_testbed::scenario::{PORT, in_sync, left, stands};
use tidegate_testbed::traffic::TrafficOptions;
use tidegate_testbed::{Site, SiteOptions, deadline};

/// `leaderElection.leaseDuration`, as a user has it.
const LEASE: Duration = Duration::from_secs(15);

async fn serving() -> Result<Replicas> {
    Replicas::serving(SiteOptions::without_lifecycle(), ReplicaConfig::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_acts_when_the_leader_ends_or_dies() -> Result<()> {
    let replicas = serving().await?;
    let traffic = replicas.site.traffic(TrafficOptions::new(replicas.site.lb_address(PORT)?))?;

    let (first, term) = replicas.leader(Term(0)).await?;
    let follower = replicas.controllers.keys().find(|name| **name != first).unwrap();
    let (_, seen) = replicas
        .wait(follower, "a follower that knows everybody", |s| s.replicas.len() == 3 && !s.leader.is_self && in_sync(s))
        .await?;
    assert_eq!(seen.leader.term, term);
    assert_eq!(seen.replicas.iter().filter(|r| r.is_leader).count(), 1, "{:?}", seen.replicas);

    let stopped = Instant::now();
    let leader = &replicas.controller(first)?.tidegate;
    let (ended, taken) = tokio::join!(leader.terminate(LIMIT), replicas.new_leader(term, LIMIT));
    let (at, second, term) = taken?;
    let handover = at.saturating_duration_since(stopped);
    println!("SIGTERM of {first}: {second} acts in term {term} after {handover:?}");
    assert!(ended?.success(), "an orderly end");
    assert!(handover < Duration::from_secs(1), "{handover:?}\n{}", replicas.logs());

    leader.restart()?;
    let killed = Instant::now();
    replicas.controller(second)?.tidegate.kill9()?;
    let (at, third, term) = replicas.new_leader(term, LIMIT).await?;
    let takeover = at.saturating_duration_since(killed);
    println!("kill -9 of {second}: {third} acts in term {term} after {takeover:?}");
    assert!(takeover < LEASE + Duration::from_secs(2), "{takeover:?}\n{}", replicas.logs());

    replicas.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    replicas.wait(third, "the new leader decides", |s| in_sync(s) && left(s, "worker-1")).await?;
    let total = traffic.stop().await?;
    assert_eq!(total.failed(), 0, "{total}");
    Ok(())
}

/// The hooks that the agent has received: how many it refused for an older position, and how many it did not.
async fn hooks(replicas: &Replicas) -> Result<(u64, u64)> {
    let host = &replicas.site.lb(Site::LB)?.host;
    let metrics = host.get(host.address(8686), "/metrics").await?.body;
    let (mut older, mut others) = (0, 0);
    for line in metrics.lines().filter(|line| line.starts_with("tidegate_hook_total{")) {
        let count: u64 = line.rsplit(' ').next().context("a sample")?.parse()?;
        *(if line.contains("result=\"olderPosition\"") { &mut older } else { &mut others }) += count;
    }
    Ok((older, others))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_frozen_in_mid_write_changes_nothing_more() -> Result<()> {
    let replicas = serving().await?;
    let traffic = replicas.site.traffic(TrafficOptions::new(replicas.site.lb_address(PORT)?))?;
    let (old, old_term) = replicas.leader(Term(0)).await?;
    let frozen = replicas.controller(old)?;

    // Its commit leaves, and is held up on the way to the database; then everything stands still.
    frozen.database.hold();
    replicas.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    frozen.tidegate.process().signal(Signal::STOP)?;
    let (_, new, new_term) = replicas.new_leader(old_term, LIMIT).await?;
    replicas.wait(new, "the new leader decides", |s| in_sync(s) && left(s, "worker-1")).await?;
    let entries = history(&replicas, new)?;

    // The held bytes arrive, and the process goes on where it stood.
    frozen.database.forward();
    frozen.tidegate.process().signal(Signal::CONT)?;
    replicas.wait(old, "the old leader follows", |s| !s.leader.is_self && s.leader.term == new_term).await?;
    replicas.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, None).await?;
    replicas.wait(new, "worker-1 back", |s| in_sync(s) && stands(s, "worker-1", Phase::Active)).await?;

    let later = history(&replicas, new)?;
    let of_old = |rows: &[Row]| rows.iter().filter(|row| row.term == old_term.0).count();
    assert_eq!(of_old(&entries), of_old(&later), "an entry of the old term came late: {later:?}");
    assert!(later.len() > entries.len(), "the new leader goes on: {later:?}");
    println!("{} entries, {} of the old term", later.len(), of_old(&later));
    let total = traffic.stop().await?;
    assert_eq!(total.failed(), 0, "{total}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_a_frozen_leader_sends_when_it_goes_on_is_refused() -> Result<()> {
    let replicas = serving().await?;
    let traffic = replicas.site.traffic(TrafficOptions::new(replicas.site.lb_address(PORT)?))?;
    let (first, term) = replicas.leader(Term(0)).await?;
    let mut others = replicas.controllers.iter().filter(|(name, _)| **name != first);
    let ((&frozen, heir), (_, bystander)) = (others.next().unwrap(), others.next().unwrap());

    // With the third away, the heir leads next: it makes sure of that, stops, and its first push waits.
    assert!(bystander.tidegate.terminate(LIMIT).await?.success());
    heir.tidegate.process().restart_with_env(&[("TIDEGATE_STOP_AT", "push:begin#1")])?;
    replicas.wait(frozen, "it follows", |s| !s.leader.is_self && in_sync(s)).await?;
    assert!(replicas.controller(first)?.tidegate.terminate(LIMIT).await?.success());
    let pid = heir.tidegate.process().pid();
    deadline::until_true("it stands still before a push", LIMIT, || is_stopped(pid)).await?;
    let old = Term(term.0 + 1);
    bystander.tidegate.restart()?;
    let (_, new, newest) = replicas.new_leader(old, LIMIT).await?;
    let of_old = |rows: &[Row]| rows.iter().filter(|row| row.term == old.0).count();
    let (entries, (older, others)) = (history(&replicas, new)?, hooks(&replicas).await?);
    assert_eq!((of_old(&entries), older), (1, 0), "it has opened its term, and no hook of it has arrived");

    heir.tidegate.process().resume()?;
    let arrived = || async { hooks(&replicas).await.is_ok_and(|(older, _)| older > 0).then_some(()) };
    deadline::until("the hook of the old term", LIMIT, arrived).await.with_context(|| replicas.logs())?;
    let follows = |s: &ClusterStatus| !s.leader.is_self && s.leader.term == newest && in_sync(s);
    let (_, seen) = replicas.wait(frozen, "the old leader follows", follows).await?;
    let (refused, accepted) = hooks(&replicas).await?;
    println!("{refused} hooks of term {old} refused, {} others", accepted - others);
    assert!(refused >= 1 && accepted == others, "{refused} refused, {accepted} accepted, {others} before");
    assert!(seen.load_balancers.iter().all(|lb| lb.live.is_some_and(|live| live.position.term == newest)), "{seen:?}");
    assert_eq!(of_old(&history(&replicas, new)?), 1, "nothing more was written in the old term");
    let total = traffic.stop().await?;
    assert_eq!(total.failed(), 0, "{total}");
    Ok(())
}

#[derive(Debug, serde::Deserialize)]
struct Row {
    term: u64,
}

fn history(replicas: &Replicas, controller: &str) -> Result<Vec<Row>> {
    let output = replicas.site.tidegate_command(controller, &["history", "--limit", "1000", "-o", "json"])?.output()?;
    serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_renew_steps_down_and_another_follows() -> Result<()> {
    let replicas = serving().await?;
    let (old, term) = replicas.leader(Term(0)).await?;
    let relay = &replicas.site.lb(old)?.relay;
    relay.hold();
    let cut = Instant::now();
    let down = replicas.wait(old, "it steps down", |s| !s.leader.is_self);
    let (down, taken) = tokio::join!(down, replicas.new_leader(term, LIMIT));
    let (stepped, acting) = (down?.0.saturating_duration_since(cut), taken?.0.saturating_duration_since(cut));
    println!("cut off: down after {stepped:?}, another acts after {acting:?}");
    assert!(stepped < acting, "two acted at once: down after {stepped:?}, another after {acting:?}");
    assert!(acting < LEASE + Duration::from_secs(4), "{acting:?}");
    relay.forward();
    let quiet = |s: &ClusterStatus| !s.leader.is_self && s.frozen.is_none() && in_sync(s);
    replicas.wait(old, "it follows", quiet).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_stops_decisions_and_nothing_else() -> Result<()> {
    let replicas = serving().await?;
    let traffic = replicas.site.traffic(TrafficOptions::new(replicas.site.lb_address(PORT)?))?;
    let (leader, _) = replicas.leader(Term(0)).await?;
    replicas.mongo.pause()?;
    replicas.site.worker("worker-1")?.kubelet.label(EXCLUDE_LABEL, Some("true")).await?;
    let before = traffic.stats();
    deadline::until_true("traffic goes on", LIMIT, || traffic.stats().since(&before).ok() > 500).await?;
    replicas.mongo.resume()?;
    assert!(replicas.controller(leader)?.tidegate.is_running(), "{}", replicas.logs());
    replicas.wait(leader, "it is decided", |s| in_sync(s) && left(s, "worker-1")).await?;
    let total = traffic.stop().await?;
    assert_eq!(total.failed(), 0, "{total}");
    Ok(())
}
