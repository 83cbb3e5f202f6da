//! Another engine on the same machine and ports, under load: each pair, and one that cannot take over.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tidegate_agent::{Agent, AgentHandle, AgentSettings, EngineSettings};
use tidegate_core::protocol::EngineHealth;

use crate::conformance::envoy::Envoy;
use crate::conformance::haproxy::Haproxy;
use crate::conformance::nftables::{Nftables, enter_a_namespace};
use crate::conformance::nginx::Nginx;
use crate::conformance::site::{Subject, settings_in};
use crate::rig::apply_ok;
use crate::states::{at, listener, state};
use crate::traffic::{Client, LIMIT, answering, ask_once, backend, free_port, own_address};

/// What is promised in docs/engines.md for two programs; it takes a tenth of that alone.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// One connection after the other; afterwards how many failed, and the longest time without a success.
struct Watch {
    stop: Arc<AtomicBool>,
    worker: JoinHandle<(u64, Duration)>,
}

impl Watch {
    fn start(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let worker = std::thread::spawn(move || {
            let (mut failed, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
            while !ended.load(Ordering::Relaxed) {
                if ask_once(to).is_ok() {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                } else {
                    failed += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            (failed, longest.max(last.elapsed()))
        });
        Self { stop, worker }
    }

    fn stop(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().unwrap()
    }
}

/// Two engines in one state directory; both are ended with it.
struct Machine {
    dir: tempfile::TempDir,
    kill: [fn(&Path); 2],
}

impl Machine {
    fn new<A: Subject, B: Subject>() -> Self {
        enter_a_namespace();
        let dir = tempfile::Builder::new().prefix("tg-engine-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("conf")).unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        Self { dir, kill: [A::kill, B::kill] }
    }

    async fn start<S: Subject>(&self) -> AgentHandle {
        self.start_with(settings_in::<S>(self.dir.path())).await
    }

    async fn start_with(&self, settings: AgentSettings) -> AgentHandle {
        Agent::start(settings, None, &mut Registry::default()).await.unwrap()
    }

    fn note(&self, name: &str) -> bool {
        self.dir.path().join("state").join(name).exists()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill.into_iter().for_each(|kill| kill(self.dir.path()));
    }
}

/// Answers what a person wants to know of it.
async fn takes_over<A: Subject, B: Subject>() -> String {
    let machine = Machine::new::<A, B>();
    let address = own_address();
    let (vip, one, two) = (free_port(address), backend(address), backend(address));
    let former = machine.start::<A>().await;
    apply_ok(&former, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    let from = former.status().engine;
    let mut kept = Client::connect(vip).unwrap();
    assert_eq!(kept.ask().unwrap(), one.port());
    former.shutdown().await;

    // What an operator does: another engine in the configuration, and a restart.
    let watch = Watch::start(vip);
    let next = machine.start::<B>().await;
    let status = next.wait_until(|status| status.health == EngineHealth::Up && status.live.is_some()).await;
    assert_eq!((status.last_error, next.status().drift), (None, None));
    std::thread::sleep(Duration::from_millis(200));
    let (failed, gap) = watch.stop();
    let kernel = [&from, &status.engine].iter().any(|engine| engine.as_str() == "nftables");
    assert!(!kernel || failed == 0, "the kernel leaves no gap: {failed}");
    assert!(gap < LONGEST_GAP, "{gap:?}");

    apply_ok(&next, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into(), "only the next one decides");
    assert_eq!(kept.ask().unwrap(), one.port(), "a connection of the former one goes on");
    assert!(machine.note("former-engine.json") || from == "nginx" || from == "haproxy", "it is waited for");
    drop(kept);
    let gone = async {
        while machine.note("former-engine.json") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.expect("the former engine ends");
    assert_eq!(answering(vip), [two.port()].into(), "its end changes nothing");
    format!("{from} -> {}: {failed} connections failed, the longest time without one {gap:?}", status.engine)
}

macro_rules! pairs {
    ($($name:ident: $former:ty => $next:ty;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                println!("{}", takes_over::<$former, $next>().await);
            }
        )*
    };
}

pairs! {
    nginx_to_haproxy: Nginx => Haproxy;
    nginx_to_envoy: Nginx => Envoy;
    nginx_to_nftables: Nginx => Nftables;
    haproxy_to_nginx: Haproxy => Nginx;
    haproxy_to_envoy: Haproxy => Envoy;
    haproxy_to_nftables: Haproxy => Nftables;
    envoy_to_nginx: Envoy => Nginx;
    envoy_to_haproxy: Envoy => Haproxy;
    envoy_to_nftables: Envoy => Nftables;
    nftables_to_nginx: Nftables => Nginx;
    nftables_to_haproxy: Nftables => Haproxy;
    nftables_to_envoy: Nftables => Envoy;
}

/// It passes its own check, but wants a port that somebody else has.
#[tokio::test]
async fn one_that_cannot_take_over_gives_the_ports_back() {
    let machine = Machine::new::<Nginx, Haproxy>();
    let address = own_address();
    let (vip, one, two) = (free_port(address), backend(address), backend(address));
    let taken = std::net::TcpListener::bind((address, 0)).unwrap();
    let former = machine.start::<Nginx>().await;
    apply_ok(&former, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
    former.shutdown().await;

    let template = machine.dir.path().join("conf/own.cfg");
    let built_in = include_str!("../../templates/haproxy/tcp.cfg");
    let frontend = format!("\nfrontend extra\n    mode tcp\n    bind {}\n", taken.local_addr().unwrap());
    std::fs::write(&template, format!("{built_in}{frontend}")).unwrap();
    let mut settings = settings_in::<Haproxy>(machine.dir.path());
    if let EngineSettings::Haproxy(haproxy) = &mut settings.engine {
        haproxy.template = Some(template);
    }
    let next = machine.start_with(settings).await;
    let told = next.status().last_error.unwrap();
    assert!(told.failure.message.contains(&taken.local_addr().unwrap().port().to_string()), "{told:?}");
    assert_eq!(answering(vip), [one.port()].into(), "nginx serves as before");
    next.shutdown().await;

    // The operator goes back: nginx is found as it was left.
    let again = machine.start::<Nginx>().await;
    apply_ok(&again, &state(2, vec![(listener("http", vip), vec![at(two)])])).await;
    assert_eq!(answering(vip), [two.port()].into());
}
