//! The agent asks its backends itself: a crash is out of a real nginx without a word from the controller.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_agent::{AgentHandle, AgentSettings, ProbeSettings, Sources};
use tidegate_core::desired::{DesiredState, Listener};
use tidegate_core::guard::Guard;
use tidegate_core::probe::{Check, HttpPath, Pace, Probe, Verdict};
use tidegate_core::protocol::{AgentStatus, Outcome};

use crate::rig::Rig;
use crate::states::{at, listener, state};
use crate::traffic::{Client, LIMIT, free_port, own_address, until_nobody_accepts};

/// Fast, so that a test does not take long; the same machine as with the defaults.
const PACE: Pace = Pace { interval: Duration::from_millis(50), timeout: Duration::from_millis(200), fall: 3, rise: 2 };

/// A backend that can die and come back at the same address.
pub struct Backend {
    pub at: SocketAddr,
    listener: Option<Door>,
}

/// A listening socket whose accepting thread ends with it.
struct Door {
    at: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open(at: SocketAddr, serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let at = listener.local_addr().unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let seen = closed.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                serve(stream);
            }
        });
        Self { at, closed, thread: Some(thread) }
    }

    const fn address(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.at));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        until_nobody_accepts(self.at);
    }
}

/// Answers one request on each connection with its own port.
fn say_port(mut stream: TcpStream) {
    let port = stream.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        if stream.read(&mut buffer).is_ok_and(|n| n > 0) {
            _ = writeln!(stream, "{port}");
        }
    });
}

impl Backend {
    /// Each at an address of its own, as nodes are.
    pub fn start() -> Self {
        let door = Door::open((own_address(), 0).into(), say_port);
        Self { at: door.address(), listener: Some(door) }
    }

    pub fn die(&mut self) {
        self.listener = None;
    }

    pub fn live_again(&mut self) {
        self.listener = Some(Door::open(self.at, say_port));
    }
}

async fn start(rig: &mut Rig, probes: ProbeSettings) -> AgentHandle {
    let settings = AgentSettings { probes: Some(probes), ..rig.settings() };
    tidegate_agent::Agent::start(settings, None, &mut rig.registry).await.unwrap()
}

fn probed(check: Check, port: Option<NonZeroU16>) -> Probe {
    Probe { check: Some(check), port, pace: PACE }
}

pub fn http(vip: SocketAddr) -> Listener {
    Listener { probe: Some(probed(Check::Tcp, None)), ..listener("http", vip) }
}

fn of(revision: u64, listener: &Listener, backends: &[&Backend]) -> DesiredState {
    state(revision, vec![(listener.clone(), backends.iter().map(|b| at(b.at)).collect())])
}

fn out(status: &AgentStatus) -> Vec<u16> {
    let out = status.backends.iter().filter(|b| b.probe.as_ref().is_some_and(|p| p.out));
    out.map(|b| b.node.as_str().trim_start_matches('n').parse().unwrap()).collect()
}

pub async fn until_out(agent: &AgentHandle, expected: &[u16]) -> AgentStatus {
    let wait = agent.wait_until(|status| out(status) == expected);
    let waited = tokio::time::timeout(LIMIT, wait).await;
    waited.unwrap_or_else(|_| panic!("expected {expected:?} out: {:#?}", agent.status()))
}

/// Who answers each of some new connections.
pub fn answers(vip: SocketAddr) -> Vec<u16> {
    (0..12).map(|_| Client::connect(vip).unwrap().ask().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_backend_gets_no_new_connection_and_returns_when_it_answers() {
    let mut rig = Rig::new();
    let mut backends = std::array::from_fn::<_, 3, _>(|_| Backend::start());
    let vip = rig.free_port();
    let agent = start(&mut rig, ProbeSettings::default()).await;
    let [a, b, c] = &backends;
    let report = agent.submit(of(1, &http(vip), &[a, b, c])).await.unwrap();
    assert_eq!(report.outcome, Outcome::Applied);
    let dead = b.at.port();
    backends[1].die();
    let status = until_out(&agent, &[dead]).await;
    assert!(!answers(vip).contains(&dead));
    let probe = status.backends.iter().filter_map(|b| b.probe.clone()).find(|p| p.out).unwrap();
    assert_eq!(probe.verdict, Verdict::Down);
    assert!(probe.trouble.unwrap().contains("refused"));
    assert_eq!(status.live, report.live, "it is still the desired state that is live");
    backends[1].live_again();
    until_out(&agent, &[]).await;
    assert!(answers(vip).contains(&dead));
    agent.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_backends_die_nothing_changes_and_the_status_says_so() {
    let mut rig = Rig::new();
    let mut backends = std::array::from_fn::<_, 2, _>(|_| Backend::start());
    let vip = rig.free_port();
    let agent = start(&mut rig, ProbeSettings::default()).await;
    let [a, b] = &backends;
    agent.submit(of(1, &http(vip), &[a, b])).await.unwrap();
    let first = a.at.port().min(b.at.port());
    backends.iter_mut().for_each(Backend::die);
    let held = |s: &AgentStatus| s.probes.as_ref().is_some_and(|p| !p.holds.is_empty());
    let status = tokio::time::timeout(LIMIT, agent.wait_until(held)).await.unwrap();
    let hold = &status.probes.as_ref().unwrap().holds[0];
    assert_eq!(hold.guard, Guard::AllFailing);
    assert!(out(&status).len() <= 1, "{first}: {status:#?}");
    agent.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_backend_that_does_not_answer_gets_nothing_until_it_does() {
    let mut rig = Rig::new();
    let mut backends = std::array::from_fn::<_, 3, _>(|_| Backend::start());
    let vip = rig.free_port();
    let agent = start(&mut rig, ProbeSettings::default()).await;
    let [a, b, _] = &backends;
    agent.submit(of(1, &http(vip), &[a, b])).await.unwrap();
    let known = |s: &AgentStatus| s.backends.iter().all(|b| b.probe.is_some());
    tokio::time::timeout(LIMIT, agent.wait_until(known)).await.unwrap();
    backends[2].die();
    let [a, b, c] = &backends;
    let late = c.at.port();
    let report = agent.submit(of(2, &http(vip), &[a, b, c])).await.unwrap();
    // What nginx is told of a backend that is out is nothing.
    assert_eq!(report.outcome, Outcome::Unchanged, "the state is live, whatever becomes of one node");
    assert!(!answers(vip).contains(&late));
    backends[2].live_again();
    until_out(&agent, &[]).await;
    let serves = |_: &AgentStatus| answers(vip).contains(&late);
    tokio::time::timeout(LIMIT, agent.wait_until(serves)).await.unwrap();
    agent.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_restarts_sends_nothing_to_who_was_dead() {
    let mut rig = Rig::new();
    let mut backends = std::array::from_fn::<_, 3, _>(|_| Backend::start());
    let vip = rig.free_port();
    let agent = start(&mut rig, ProbeSettings::default()).await;
    let [a, b, c] = &backends;
    agent.submit(of(1, &http(vip), &[a, b, c])).await.unwrap();
    let dead = c.at.port();
    backends[2].die();
    until_out(&agent, &[dead]).await;
    agent.shutdown().await;
    let text = rig.live_text();
    let agent = start(&mut rig, ProbeSettings::default()).await;
    assert_eq!(rig.live_text(), text, "nothing was rendered anew");
    assert_eq!(agent.status().reloads, 0);
    assert!(!answers(vip).contains(&dead));
    until_out(&agent, &[dead]).await;
    backends[2].live_again();
    let serves = |_: &AgentStatus| answers(vip).contains(&dead);
    tokio::time::timeout(LIMIT, agent.wait_until(serves)).await.unwrap();
    agent.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_waits_for_the_first_answer_of_a_new_backend_and_reloads_once() {
    let mut rig = Rig::new();
    let backends = std::array::from_fn::<_, 3, _>(|_| Backend::start());
    let vip = rig.free_port();
    let [a, b, c] = &backends;
    let agent = start(&mut rig, ProbeSettings::default()).await;
    agent.submit(of(1, &http(vip), &[a, b])).await.unwrap();
    agent.shutdown().await;
    let agent = start(&mut rig, ProbeSettings::default()).await;
    let report = agent.submit(of(2, &http(vip), &[a, b, c])).await.unwrap();
    assert_eq!((report.outcome, agent.status().reloads), (Outcome::Applied, 1));
    assert!(answers(vip).contains(&c.at.port()), "live with its own state, not after it");
    agent.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_or_errs_is_found_by_its_http_answer() {
    let mut rig = Rig::new();
    let backends = std::array::from_fn::<_, 3, _>(|_| Backend::start());
    let status = Arc::new(AtomicU16::new(200));
    let told = status.clone();
    let health = Door::open((backends[0].at.ip(), 0).into(), move |mut stream| {
        let mut buffer = [0; 1024];
        if stream.read(&mut buffer).is_ok_and(|n| n > 0) {
            let status = told.load(Ordering::Relaxed);
            // Zero: it accepts and says nothing, as a process that hangs.
            if status == 0 {
                std::thread::sleep(Duration::from_millis(300));
            } else {
                _ = write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            }
        }
    });
    let vip = rig.free_port();
    let agent = start(&mut rig, ProbeSettings::default()).await;
    let check = Check::Http(HttpPath::parse("/healthz").unwrap());
    let [a, b, _] = &backends;
    let asked =
        Listener { probe: Some(probed(check, NonZeroU16::new(health.address().port()))), ..listener("http", vip) };
    // The other listener's backends are asked at another port, so that not everything fails at once.
    let other = Listener { probe: Some(probed(Check::Tcp, None)), ..listener("other", free_port(rig.address)) };
    let content = vec![(asked, vec![at(a.at)]), (other, vec![at(b.at)])];
    agent.submit(state(1, content)).await.unwrap();
    for (code, verdict) in [(200, Verdict::Up), (503, Verdict::Down), (302, Verdict::Up), (0, Verdict::Down)] {
        status.store(code, Ordering::Relaxed);
        let seen = |s: &AgentStatus| {
            s.backends
                .iter()
                .any(|b| b.listener.as_str() == "http" && b.probe.as_ref().is_some_and(|p| p.verdict == verdict))
        };
        let seen = tokio::time::timeout(LIMIT, agent.wait_until(seen)).await;
        assert!(seen.is_ok(), "status {code} should mean {verdict:?}: {:#?}", agent.status());
    }
    agent.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_asked_nothing_changes_and_the_status_says_why() {
    let mut rig = Rig::new();
    let backends = std::array::from_fn::<_, 2, _>(|_| Backend::start());
    let vip = rig.free_port();
    // No machine has this one (RFC 5737): every question fails before it is sent.
    let nowhere: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
    let agent = start(&mut rig, ProbeSettings { sources: Sources::new(vec![nowhere]) }).await;
    let [a, b] = &backends;
    agent.submit(of(1, &http(vip), &[a, b])).await.unwrap();
    let sick = |s: &AgentStatus| s.probes.as_ref().is_some_and(|p| p.sick.is_some());
    let status = tokio::time::timeout(LIMIT, agent.wait_until(sick)).await.unwrap();
    assert!(status.probes.unwrap().sick.unwrap().reason.contains("assign requested address"));
    let third = Backend::start();
    agent.submit(of(2, &http(vip), &[a, b, &third])).await.unwrap();
    assert!(answers(vip).contains(&third.at.port()), "who cannot be asked is believed");
    assert!(out(&agent.status()).is_empty());
    agent.shutdown().await;
}
