//! Starting with the controller, the store and the API all down.

use std::os::unix::fs::PermissionsExt;

use tidegate_core::ids::ClusterName;
use tidegate_core::protocol::{EngineHealth, Outcome};

use crate::rig::{Rig, apply, apply_ok};
use crate::states::{at, listener, state};
use crate::traffic::{Load, answering, backend};

#[tokio::test]
async fn a_machine_that_restarts_serves_the_last_known_good_state_by_itself() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    let wanted = state(3, vec![(listener("http", vip), vec![at(one)])]);
    apply_ok(&agent, &wanted).await;
    agent.shutdown().await;
    rig.kill_nginx();

    let agent = rig.start().await;
    assert_eq!(answering(vip), [one.port()].into());
    let status = agent.status();
    assert_eq!((status.health, status.live.unwrap().position), (EngineHealth::Up, wanted.position));
    agent.shutdown().await;

    // Also when the configuration file is gone, and with what a killed apply left beside it.
    rig.kill_nginx();
    std::fs::remove_file(&rig.nginx.config_file).unwrap();
    std::fs::write(rig.nginx.config_file.with_file_name(".nginx.conf.tidegate-candidate"), "half").unwrap();
    let agent = rig.start().await;
    assert_eq!(answering(vip), [one.port()].into());
    assert_eq!(rig.conf_dir(), ["nginx.conf"]);
    assert_eq!(agent.status().last_error, None);
}

#[tokio::test]
async fn a_changed_template_goes_live_at_the_next_start() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    agent.shutdown().await;
    let load = Load::start(vip);
    rig.nginx.worker_shutdown_timeout = Some(std::time::Duration::from_secs(77));
    let agent = rig.start().await;
    assert!(rig.live_text().contains("worker_shutdown_timeout 77000ms;"));
    assert_eq!(agent.status().last_error, None);
    load.see(20);
    assert_eq!(load.stop(), Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_snapshot_leaves_the_live_file_alone_and_is_said() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(5, vec![(listener("http", vip), vec![at(one)])])).await;
    agent.shutdown().await;
    rig.kill_nginx();
    let snapshot = rig.state_dir().join("last-known-good.json");
    let good = std::fs::read_to_string(&snapshot).unwrap();
    let damages = [good.replace("\"revision\":5", "\"revision\":6"), good[..good.len() / 2].to_owned(), String::new()];
    for damage in damages {
        assert_ne!(damage, good);
        std::fs::write(&snapshot, &damage).unwrap();
        let before = rig.live_text();
        let agent = rig.start().await;
        assert_eq!(answering(vip), [one.port()].into());
        let status = agent.status();
        assert_eq!((rig.live_text(), status.health, status.live), (before, EngineHealth::Up, None));
        let message = status.last_error.unwrap().failure.message;
        assert!(message.contains("last-known-good.json") && message.contains("damaged"), "{message}");
        agent.shutdown().await;
    }
    let agent = rig.start().await;
    apply_ok(&agent, &state(6, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!((answering(vip), agent.status().last_error), ([two.port()].into(), None));
}

#[tokio::test]
async fn without_a_snapshot_a_whole_file_of_ours_is_served() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    let wanted = state(1, vec![(listener("http", vip), vec![at(one)])]);
    apply_ok(&agent, &wanted).await;
    agent.shutdown().await;
    rig.kill_nginx();
    std::fs::remove_file(rig.state_dir().join("last-known-good.json")).unwrap();
    let agent = rig.start().await;
    assert_eq!(answering(vip), [one.port()].into());
    let workers = rig.workers();
    // Nothing is known to be live, so the first push is applied; it is found to be there already.
    let report = apply(&agent, &wanted).await;
    assert!(matches!(report.outcome, Outcome::Applied | Outcome::Unchanged), "{report:?}");
    drop(workers);
}

#[tokio::test]
async fn a_state_that_was_admitted_but_failed_still_fences_older_ones() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    let content = || vec![(listener("http", vip), vec![at(one)])];
    apply_ok(&agent, &state(1, content())).await;
    let twice = vec![(listener("http", vip), vec![at(one)]), (listener("again", vip), vec![at(one)])];
    assert_eq!(apply(&agent, &state(9, twice)).await.outcome.as_str(), "rolledBack");
    agent.shutdown().await;
    let agent = rig.start().await;
    assert_eq!(agent.status().live.unwrap().position.revision.0, 1);
    let refusal = agent.submit(state(8, content())).await.unwrap_err();
    assert_eq!(refusal.as_str(), "olderPosition");
}

#[tokio::test]
async fn a_snapshot_of_another_cluster_is_an_error_with_a_cure() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    agent.shutdown().await;
    let mut settings = rig.settings();
    settings.cluster = Some(ClusterName::parse("staging").unwrap());
    let error = tidegate_agent::Agent::start(settings, None, &mut rig.registry).await.err().unwrap().to_string();
    assert!(error.contains("prod") && error.contains("staging") && error.contains("cure:"), "{error}");
}

#[tokio::test]
async fn errors_at_the_start_name_their_subject_and_the_cure() {
    let mut rig = Rig::new();
    rig.nginx.binary = "/nowhere/nginx".into();
    let error = rig.try_start(None).await.err().unwrap().to_string();
    assert!(error.contains("/nowhere/nginx") && error.contains("apt-get install nginx"), "{error}");

    let fake = rig.dir.path().join("fake");
    std::fs::write(&fake, "#!/bin/sh\necho hello\n").unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    rig.nginx.binary = fake;
    let error = rig.try_start(None).await.err().unwrap().to_string();
    assert!(error.contains("does not say what it is") && error.contains("cure:"), "{error}");

    let mut settings = rig.settings();
    settings.state_dir = rig.dir.path().join("a b;c");
    let error = tidegate_agent::Agent::start(settings, None, &mut rig.registry).await.err().unwrap().to_string();
    assert!(error.contains("a b;c") && error.contains("cure:"), "{error}");
}
