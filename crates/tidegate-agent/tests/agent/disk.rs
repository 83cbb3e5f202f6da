//! Full and read-only filesystems under the configuration file. Needs root: it mounts small ones.

use std::time::Duration;

use tidegate_core::class::ErrorClass;
use tidegate_core::step::Step;
use tokio::time::timeout;

use crate::mount::Mount;
use crate::rig::{Rig, apply, apply_ok, rolled_back};
use crate::states::{at, listener, state};
use crate::traffic::{Load, answering, backend};

#[tokio::test]
async fn a_full_disk_leaves_the_live_file_whole_and_heals_by_itself() {
    let mut rig = Rig::new();
    let dir = rig.nginx.config_file.parent().unwrap().to_owned();
    let mount = Mount::tmpfs(&dir, "size=64k");
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let load = Load::start(vip);
    load.see(20);

    let filler = dir.join("filler");
    let filled = std::fs::write(&filler, vec![0; 1 << 20]);
    assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    let before = rig.live_text();
    let wanted = state(2, vec![(listener("http", vip), vec![at(two)])]);
    let report = apply(&agent, &wanted).await;
    let cause = rolled_back(&report);
    assert_eq!((cause.step, cause.class), (Step::Swap, ErrorClass::Transient));
    assert!(cause.message.contains("nginx.conf") && cause.cure.contains("df -h"), "{cause:?}");
    assert_eq!((rig.live_text(), rig.conf_dir()), (before, vec!["filler".to_owned(), "nginx.conf".to_owned()]));
    load.see(20);

    std::fs::remove_file(&filler).unwrap();
    let status = timeout(Duration::from_secs(20), agent.wait_until(|s| s.pending.is_none())).await.unwrap();
    assert_eq!(status.live.unwrap().position, wanted.position);
    assert_eq!(answering(vip), [two.port()].into());
    assert_eq!(load.stop(), Vec::<String>::new());
    drop(mount);
}

#[tokio::test]
async fn a_read_only_filesystem_is_named_and_leaves_everything_as_it_is() {
    let mut rig = Rig::new();
    let mount = Mount::tmpfs(rig.nginx.config_file.parent().unwrap(), "size=1m");
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    mount.remount("ro");
    let report = apply(&agent, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    let cause = rolled_back(&report);
    assert_eq!((cause.step, cause.class), (Step::Swap, ErrorClass::Transient));
    assert!(cause.message.contains("Read-only") && cause.cure.contains("remount"), "{cause:?}");
    assert_eq!(answering(vip), [one.port()].into());
    rig.check_live_file();
    agent.shutdown().await;
}

#[tokio::test]
async fn a_full_state_directory_does_not_stop_what_is_live_and_is_said() {
    let mut rig = Rig::new();
    std::fs::create_dir(rig.state_dir()).unwrap();
    let mount = Mount::tmpfs(&rig.state_dir(), "size=256k");
    let (vip, one, two) = (rig.free_port(), backend(rig.address), backend(rig.address));
    let agent = rig.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let filler = rig.state_dir().join("filler");
    assert!(std::fs::write(&filler, vec![0; 1 << 20]).is_err());
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
    let failure = agent.status().last_error.unwrap().failure;
    assert!(failure.message.contains("writing snapshot") && failure.message.contains("cure:"), "{failure:?}");
    std::fs::remove_file(&filler).unwrap();
    apply_ok(&agent, &state(3, vec![(listener("http", vip), vec![at(one)])])).await;
    assert_eq!(agent.status().last_error, None);
    agent.shutdown().await;
    // nginx holds its log open on this mount.
    rig.end_nginx();
    drop(mount);
}
