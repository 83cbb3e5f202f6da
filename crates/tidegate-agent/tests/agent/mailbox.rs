//! One apply in flight, the newest state wins, reloads keep their distance.

use std::time::{Duration, Instant};

use tidegate_core::protocol::Outcome;

use crate::rig::{Rig, apply_ok};
use crate::states::{at, listener, state};
use crate::traffic::{answering, backend};

#[tokio::test]
async fn a_burst_ends_in_its_last_state_with_few_reloads_and_everyone_is_answered() {
    let mut rig = Rig::new();
    rig.nginx.min_reload_interval = Duration::from_millis(600);
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    let content = |n: u64| vec![(listener("http", vip), vec![at(if n.is_multiple_of(2) { one } else { two })])];
    apply_ok(&agent, &state(1, content(1))).await;

    let start = Instant::now();
    let mut waiting = Vec::new();
    for n in 2..=101 {
        let (agent, state) = (agent.clone(), state(n, content(n)));
        waiting.push(tokio::spawn(async move { agent.submit(state).await.unwrap() }));
        tokio::task::yield_now().await;
    }
    let mut outcomes = Vec::new();
    for answer in waiting {
        outcomes.push(answer.await.unwrap().outcome);
    }
    let last = outcomes.pop().unwrap();
    assert!(matches!(last, Outcome::Applied | Outcome::Unchanged), "{last:?}");
    // What was live at the moment it came needed nothing; the rest was overtaken.
    let superseded = outcomes.iter().filter(|o| matches!(o, Outcome::Superseded { .. })).count();
    let unchanged = outcomes.iter().filter(|o| **o == Outcome::Unchanged).count();
    assert!(superseded >= 40 && superseded + unchanged >= 95, "{superseded} and {unchanged} of {}", outcomes.len());
    let status = agent.status();
    assert_eq!((status.live.unwrap().position.revision.0, status.pending), (101, None));
    assert!(status.reloads <= 4, "{} reloads", status.reloads);
    assert_eq!(answering(vip), [two.port()].into());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn reloads_keep_their_distance_and_what_needs_none_does_not_wait() {
    let mut rig = Rig::new();
    rig.nginx.min_reload_interval = Duration::from_secs(1);
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    let content = |pool| vec![(listener("http", vip), pool)];
    let idle = Instant::now();
    apply_ok(&agent, &state(1, content(vec![at(one)]))).await;
    assert!(idle.elapsed() < Duration::from_millis(900), "the first one starts at once: {:?}", idle.elapsed());
    let unchanged = Instant::now();
    assert_eq!(agent.submit(state(2, content(vec![at(one)]))).await.unwrap().outcome, Outcome::Unchanged);
    assert!(unchanged.elapsed() < Duration::from_millis(500));
    apply_ok(&agent, &state(3, content(vec![at(two)]))).await;
    // The start itself was the first of the two.
    assert!(idle.elapsed() >= Duration::from_secs(1), "{:?}", idle.elapsed());
    assert_eq!(answering(vip), [two.port()].into());
}

#[tokio::test]
async fn everyone_who_pushes_the_same_state_gets_its_outcome() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    let wanted = state(1, vec![(listener("http", vip), vec![at(one)])]);
    let (a, b) = tokio::join!(agent.submit(wanted.clone()), agent.submit(wanted.clone()));
    assert_eq!((a.unwrap().outcome, b.unwrap().outcome), (Outcome::Applied, Outcome::Applied));
    assert_eq!(agent.status().reloads, 1);
    let mut other =
        state(1, vec![(listener("http", vip), vec![at(one)]), (listener("b", rig.free_port()), vec![at(one)])]);
    assert_eq!(agent.submit(other.clone()).await.unwrap_err().as_str(), "contentConflict");
    other.pools.clear();
    assert_eq!(agent.submit(other.clone()).await.unwrap_err().as_str(), "malformed");
    other.position.revision.0 = 2;
    other.hash = other.content_hash();
    assert_eq!(agent.submit(other).await.unwrap_err().as_str(), "wouldBeEmpty");
}

#[tokio::test]
async fn a_shut_down_agent_answers_that_it_is() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    agent.clone().shutdown().await;
    let report = agent.submit(state(1, vec![(listener("http", vip), vec![at(one)])])).await.unwrap();
    assert!(crate::rig::rolled_back(&report).message.contains("shutting down"), "{report:?}");
}
