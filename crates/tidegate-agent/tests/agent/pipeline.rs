//! The whole path of a state, against real nginx.

use tidegate_core::protocol::{EngineHealth, Outcome};
use tidegate_core::step::Step;

use crate::rig::{Rig, apply, apply_ok};
use crate::states::{at, draining, listener, state};
use crate::traffic::{Client, Load, answering, backend};

#[tokio::test]
async fn a_state_goes_live_and_the_next_one_replaces_it_without_a_failed_request() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    assert_eq!(agent.status().health, EngineHealth::Idle);

    let report = apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let steps: Vec<Step> = report.timings.iter().map(|t| t.step).collect();
    assert_eq!(steps, Step::ALL);
    assert_eq!(answering(vip), [one.port()].into());

    let load = Load::start(vip);
    load.see(50);
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![at(one), at(two)])])).await;
    assert_eq!(answering(vip), [one.port(), two.port()].into());
    // Once the answer is there, no new connection goes to what was removed.
    apply_ok(&agent, &state(3, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
    load.see(50);
    assert_eq!(load.stop(), Vec::<String>::new());

    let status = agent.status();
    assert_eq!((status.health, status.reloads, status.last_error), (EngineHealth::Up, 3, None));
    assert_eq!(status.backends.len(), 1);
    assert_eq!(status.engine_version.as_deref(), Some("1.22.1"));
    assert_eq!(rig.conf_dir(), ["nginx.conf"]);
    rig.check_live_file();
}

#[tokio::test]
async fn what_is_live_already_runs_nothing() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    let content = |pool| vec![(listener("http", vip), pool)];
    apply_ok(&agent, &state(1, content(vec![at(one)]))).await;
    let before = (rig.workers(), std::fs::metadata(&rig.nginx.config_file).unwrap().modified().unwrap());

    for again in [state(1, content(vec![at(one)])), state(2, content(vec![at(one)]))] {
        let report = apply(&agent, &again).await;
        assert_eq!(report.outcome, Outcome::Unchanged);
        assert_eq!(report.live.unwrap().position, again.position);
    }
    // A drain that ends changes the content, but nothing that nginx would serve.
    let with_drain = state(3, content(vec![at(one), draining(at(two))]));
    let report = apply(&agent, &with_drain).await;
    assert_eq!((report.outcome, report.live.unwrap().hash), (Outcome::Unchanged, with_drain.hash));
    let after = (rig.workers(), std::fs::metadata(&rig.nginx.config_file).unwrap().modified().unwrap());
    assert_eq!(before, after);
    assert_eq!(agent.status().reloads, 1);
}

#[tokio::test]
async fn a_draining_backend_keeps_its_connections_and_gets_no_new_one() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let mut old = Client::connect(vip).unwrap();
    assert_eq!(old.ask().unwrap(), one.port());

    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![draining(at(one)), at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
    assert_eq!(old.ask().unwrap(), one.port());
    let status = agent.wait_until(|s| s.old_generations == 1).await;
    let shown: Vec<_> = status.backends.iter().map(|b| (b.node.as_str(), b.draining)).collect();
    assert_eq!(shown, [(at(one).node.as_str(), true), (at(two).node.as_str(), false)]);
    drop(old);
    assert_eq!(agent.wait_until(|s| s.old_generations == 0).await.old_generations, 0);
}

#[tokio::test]
async fn the_engine_outlives_the_agent_and_a_restart_touches_nothing() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    let wanted = state(7, vec![(listener("http", vip), vec![at(one)])]);
    apply_ok(&agent, &wanted).await;
    let workers = rig.workers();
    let load = Load::start(vip);
    agent.shutdown().await;
    load.see(20);
    let agent = rig.start().await;
    let status = agent.status();
    assert_eq!((status.health, status.live.unwrap().position, status.reloads), (EngineHealth::Up, wanted.position, 0));
    assert_eq!(rig.workers(), workers);
    load.see(20);
    assert_eq!(load.stop(), Vec::<String>::new());
    // The position survived as well.
    let older = agent.submit(state(6, vec![(listener("http", vip), vec![at(one)])])).await.unwrap_err();
    assert_eq!(older.as_str(), "olderPosition");
}
