//! Files that are not ours, or not as we wrote them.

use std::time::Duration;

use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::EngineHealth;
use tidegate_core::step::Step;
use tokio::time::timeout;

use crate::rig::{Rig, apply, apply_ok, rolled_back};
use crate::states::{at, listener, state};
use crate::traffic::{answering, backend};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_file_edited_by_hand_is_refused_with_a_diff_and_taken_over_when_told_so() {
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let original = rig.live_text();
    let edited = original.replace("proxy_timeout 1h;", "proxy_timeout 7h;");
    std::fs::write(&rig.nginx.config_file, &edited).unwrap();
    // Noticed without anybody pushing anything.
    let noticed = timeout(SOON, agent.wait_until(|s| s.last_error.is_some())).await.unwrap().last_error.unwrap();
    assert!(noticed.failure.message.contains("-        proxy_timeout 7h;"), "{noticed:?}");
    assert_eq!(noticed.position, None);

    let wanted = state(2, vec![(listener("http", vip), vec![at(one), at(two)])]);
    let report = apply(&agent, &wanted).await;
    let cause = rolled_back(&report);
    assert_eq!((cause.step, cause.class), (Step::Swap, ErrorClass::Permanent));
    for part in ["was edited", "-        proxy_timeout 7h;", "+        proxy_timeout 1h;"] {
        assert!(cause.message.contains(part), "{part} in {}", cause.message);
    }
    assert!(cause.cure.contains("--take-over"));
    assert_eq!(rig.live_text(), edited);
    assert_eq!(answering(vip), [one.port()].into());

    // Whoever takes the edit back needs no restart.
    std::fs::write(&rig.nginx.config_file, &original).unwrap();
    apply_ok(&agent, &wanted).await;
    assert_eq!(agent.status().last_error, None);
    let edited = rig.live_text().replace("proxy_timeout 1h;", "proxy_timeout 9h;");
    std::fs::write(&rig.nginx.config_file, &edited).unwrap();
    let wanted = state(3, vec![(listener("http", vip), vec![at(two)])]);
    assert_eq!(rolled_back(&apply(&agent, &wanted).await).step, Step::Swap);

    agent.shutdown().await;
    rig.take_over = true;
    let agent = rig.start().await;
    let report = apply(&agent, &wanted).await;
    assert_eq!(report.live.unwrap().position, wanted.position, "{report:?}");
    assert_eq!(answering(vip), [two.port()].into());
    let backups: Vec<String> = rig.conf_dir().into_iter().filter(|n| n.contains(".before-tidegate-")).collect();
    let backup = rig.nginx.config_file.with_file_name(&backups[0]);
    assert_eq!((backups.len(), std::fs::read_to_string(backup).unwrap()), (1, edited));
    rig.check_live_file();
}

#[tokio::test]
async fn a_file_of_somebody_else_is_never_touched() {
    let mut rig = Rig::new();
    let (vip, one) = (rig.free_port(), backend(rig.address));
    let foreign = "user www-data;\nevents {}\n";
    std::fs::write(&rig.nginx.config_file, foreign).unwrap();
    let agent = rig.start().await;
    let status = agent.status();
    assert!(matches!(status.health, EngineHealth::Down { .. }), "{status:?}");
    assert!(status.last_error.unwrap().failure.cure.contains("--take-over"));

    let report = apply(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let cause = rolled_back(&report);
    assert!(
        cause.message.contains("not written by tidegate") && cause.message.contains("-user www-data;"),
        "{cause:?}"
    );
    assert_eq!((rig.live_text(), rig.master()), (foreign.to_owned(), None));
    assert_eq!(rig.conf_dir(), ["nginx.conf"]);
}

#[tokio::test]
async fn the_mode_of_the_file_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let mut rig = Rig::new();
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let file = rig.nginx.config_file.clone();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[tokio::test]
async fn one_state_directory_serves_one_agent() {
    let mut rig = Rig::new();
    let agent = rig.start().await;
    let error = rig.try_start(None).await.err().unwrap();
    assert!(error.to_string().contains("in use by another tidegate"), "{error}");
    agent.shutdown().await;
    rig.start().await.shutdown().await;
}
