//! nginx is killed from outside, in whole or in part.

use std::time::Duration;

use tidegate_core::protocol::EngineHealth;
use tokio::time::timeout;

use crate::rig::{Rig, apply_ok, kill};
use crate::states::{at, listener, state};
use crate::traffic::{Client, answering, backend};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_killed_master_is_replaced_and_its_workers_finish_what_they_have() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let mut old = Client::connect(vip).unwrap();
    old.ask().unwrap();
    let master = rig.master().unwrap();

    kill(master);
    timeout(SOON, agent.wait_until(|s| matches!(s.health, EngineHealth::Down { .. }))).await.unwrap();
    let up = timeout(SOON, agent.wait_until(|s| s.health == EngineHealth::Up)).await.unwrap();
    assert_ne!(rig.master().unwrap(), master);
    assert_eq!(answering(vip), [one.port()].into());
    assert_eq!(old.ask().unwrap(), one.port());
    assert_eq!(up.live.unwrap().position.revision.0, 1);
    // And it can be reloaded as ever.
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
    drop(old);
}

#[tokio::test]
async fn when_all_of_nginx_is_killed_it_is_started_again() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    for round in 0..3 {
        let master = rig.master().unwrap();
        rig.kill_nginx();
        timeout(SOON, agent.wait_until(|s| matches!(s.health, EngineHealth::Down { .. }))).await.unwrap();
        timeout(SOON, agent.wait_until(|s| s.health == EngineHealth::Up)).await.unwrap();
        assert_ne!(rig.master().unwrap(), master, "round {round}");
        assert_eq!(answering(vip), [one.port()].into());
    }
}

#[tokio::test]
async fn a_push_to_a_dead_nginx_starts_it_with_the_new_state() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    rig.kill_nginx();
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
}

#[tokio::test]
async fn a_removed_file_is_written_again_when_nginx_has_to_be_started() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    std::fs::remove_file(&rig.nginx.config_file).unwrap();
    rig.kill_nginx();
    timeout(SOON, agent.wait_until(|s| matches!(s.health, EngineHealth::Down { .. }))).await.unwrap();
    timeout(SOON, agent.wait_until(|s| s.health == EngineHealth::Up)).await.unwrap();
    rig.check_live_file();
    assert_eq!(answering(vip), [one.port()].into());
}
