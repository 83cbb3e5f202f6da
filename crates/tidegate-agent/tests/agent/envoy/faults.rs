//! What befalls only Envoy: no room for the files that it watches, others' files there, a log that grows, a shared port.

use std::io::Write;
use std::time::Duration;

use tidegate_agent::AgentHandle;
use tidegate_agent::command::SystemCommands;
use tidegate_agent::connections::Connections;
use tidegate_agent::engine::{Serving, open};
use tidegate_core::class::ErrorClass;
use tidegate_core::protocol::AgentStatus;

use super::{EnvoySite, ask_admin};
use crate::conformance::site::settings_in;
use crate::mount::Mount;
use crate::rig::{apply, apply_ok, rolled_back};
use crate::states::{at, draining, listener, state};
use crate::traffic::{Client, Load, answering, backend, until};

const SOON: Duration = Duration::from_secs(40);

/// Waits until a state that failed is live after all.
async fn healed(agent: &AgentHandle, revision: u64) {
    let live = |s: &AgentStatus| s.live.as_ref().is_some_and(|live| live.position.revision.0 == revision);
    let status = tokio::time::timeout(SOON, agent.wait_until(live)).await.expect("it heals by itself");
    assert_eq!(status.last_error, None);
}

/// `envoy`'s files on a filesystem of their own that is full.
#[tokio::test]
async fn a_full_disk_below_the_state_directory_leaves_what_was_live() {
    let mut site = EnvoySite::new();
    let eds = site.dir.path().join("state/envoy/eds");
    std::fs::create_dir_all(&eds).unwrap();
    let mount = Mount::tmpfs(&eds, "size=64k");
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let content = |to| vec![(listener("http", vip), vec![at(to)])];
    let agent = site.start().await;
    apply_ok(&agent, &state(1, content(one))).await;
    let load = Load::start(vip);
    load.see(20);
    let filler = mount.fill(&eds.join("http"));
    let report = apply(&agent, &state(2, content(two))).await;
    let cause = rolled_back(&report);
    assert!(cause.class == ErrorClass::Transient && cause.cure.contains("df -h"), "{cause:?}");
    assert_eq!(answering(vip), [one.port()].into());
    drop(filler);
    healed(&agent, 2).await;
    assert_eq!(answering(vip), [two.port()].into());
    assert_eq!(load.stop(), Vec::<String>::new());
}

#[tokio::test]
async fn the_kernels_count_is_envoys_own() {
    let mut site = EnvoySite::new();
    let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let mut clients: Vec<Client> = (0..7).map(|_| Client::connect(vip).unwrap()).collect();
    assert!(clients.iter_mut().all(|c| c.ask().is_ok()));
    apply_ok(&agent, &state(2, vec![(listener("http", vip), vec![draining(at(one)), at(two)])])).await;
    let both = || {
        let text = ask_admin(site.dir.path(), "/clusters");
        let line = format!("http::{one}::cx_active::");
        let own = text.lines().find_map(|l| l.strip_prefix(&line)).unwrap().trim().parse::<u64>().unwrap();
        (own, Connections::count(&[one].into()).unwrap().to(one))
    };
    assert_eq!(both(), (7, 7));
    clients.truncate(3);
    until("the others are gone from both", || both() == (3, 3));
}

/// What another hand does at each place is told by name.
#[tokio::test]
async fn every_foreign_change_is_seen() {
    let mut site = EnvoySite::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let settings = settings_in::<crate::conformance::envoy::Envoy>(site.dir.path());
    let commands = std::sync::Arc::new(SystemCommands);
    let engine = open(&settings.engine, &settings.state_dir, commands).await.unwrap();
    let generation = tidegate_agent::file::unseal(&std::fs::read_to_string(site.live_file()).unwrap());
    let tidegate_agent::file::Seal::Whole(generation) = generation else { panic!() };
    assert!(engine.serving().await.is(generation));
    for (file, subject) in
        [("eds/http/endpoints.json", "cluster.http"), ("lds/listeners.json", "lds"), ("cds/clusters.json", "cds")]
    {
        let path = site.dir.path().join("state/envoy").join(file);
        std::fs::write(path.with_extension("new"), r#"{"version_info":"foreign","resources":[]}"#).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        let Serving::Differs { how } = engine.serving().await else { panic!("{file}") };
        assert!(how.contains(subject), "{how}");
        engine.reload(generation).await.unwrap().confirm().await.unwrap();
        assert!(engine.serving().await.is(generation), "{file}");
        assert_eq!(answering(vip), [one.port()].into(), "{file}");
    }
}

/// A log that grew is cut and written on.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short() {
    let mut site = EnvoySite::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let agent = site.start().await;
    apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let log = site.dir.path().join("state/envoy/envoy.log");
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(&vec![b'\n'; 17 << 20]).unwrap();
    let length = || std::fs::metadata(&log).unwrap().len();
    until("it is cut", || length() < 1 << 20);
    let taken = std::net::TcpListener::bind((site.address, 0)).unwrap();
    let more = (listener("more", taken.local_addr().unwrap()), vec![at(one)]);
    let report = apply(&agent, &state(2, vec![(listener("http", vip), vec![at(one)]), more])).await;
    let cause = rolled_back(&report);
    assert!(cause.message.contains("in use"), "{cause:?}");
    // Another hand's nonsense is a line in the log.
    let clusters = site.dir.path().join("state/envoy/cds/clusters.json");
    std::fs::write(clusters.with_extension("new"), "nonsense").unwrap();
    std::fs::rename(clusters.with_extension("new"), &clusters).unwrap();
    until("Envoy writes at the log's new beginning", || (1..1 << 20).contains(&length()));
    tokio::time::timeout(Duration::from_secs(5), agent.shutdown()).await.unwrap();
}

/// A port that another program holds in a way that would let Envoy have it too.
#[tokio::test]
async fn a_port_is_not_shared_with_another_program() {
    let mut site = EnvoySite::new();
    let (vip, one) = (site.free_port(), backend(site.address));
    let agent = site.start().await;
    let http = (listener("http", vip), vec![at(one)]);
    apply_ok(&agent, &state(1, vec![http.clone()])).await;
    let shared = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::sockopt::set_socket_reuseport(&shared, true).unwrap();
    rustix::net::bind(&shared, &std::net::SocketAddr::from((site.address, 0))).unwrap();
    rustix::net::listen(&shared, 8).unwrap();
    let held = std::net::TcpListener::from(shared);
    let more = (listener("more", held.local_addr().unwrap()), vec![at(one)]);
    let report = apply(&agent, &state(2, vec![http, more])).await;
    let cause = rolled_back(&report);
    assert!(cause.message.contains("in use") && cause.cure.contains("ss -lntup"), "{cause:?}");
    drop(held);
    healed(&agent, 2).await;
}
