//! What befalls an engine while a state goes live, the same for every engine: its disk is full or read-only, its
//! directory is locked, it is killed, it hangs, somebody else answers in its place.
//!
//! Whatever the answer to the push is, it must be true; and once the fault is over the state goes live by itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_agent::{Agent, AgentHandle, StepHook};
use tidegate_core::class::ErrorClass;
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::{AgentStatus, ApplyReport, Outcome};
use tokio::time::timeout;

use super::custom::Custom;
use super::envoy::Envoy;
use super::haproxy::Haproxy;
use super::nftables::Nftables;
use super::nginx::Nginx;
use super::side_by_side::{at_once, block_on};
use super::site::{Site, Subject, settings_in};
use crate::mount::{Immutable, Mount};
use crate::rig::{apply, apply_ok, rolled_back};
use crate::states::{at, draining, listener, state};
use crate::traffic::{Load, answering, ask_once, backend};

/// Longer than any engine is waited for, twice, and the pause before the next try.
const SOON: Duration = Duration::from_secs(90);

/// A scenario on every engine at once: most of the time they wait.
macro_rules! on_every_engine {
    ($scenario:ident) => {
        at_once(vec![
            ("nginx".to_owned(), Box::new(|| block_on($scenario::<Nginx>()))),
            ("haproxy".to_owned(), Box::new(|| block_on($scenario::<Haproxy>()))),
            ("envoy".to_owned(), Box::new(|| block_on($scenario::<Envoy>()))),
            ("nftables".to_owned(), Box::new(|| block_on($scenario::<Nftables>()))),
            ("custom".to_owned(), Box::new(|| block_on($scenario::<Custom>()))),
        ])
    };
}

#[test]
fn a_full_disk_leaves_what_was_live_and_heals_by_itself() {
    on_every_engine!(a_full_disk);
}

#[test]
fn a_read_only_disk_leaves_what_was_live_and_heals_by_itself() {
    on_every_engine!(a_read_only_disk);
}

#[test]
fn a_lost_permission_leaves_what_was_live_and_names_its_cure() {
    on_every_engine!(a_lost_permission);
}

#[test]
fn an_engine_that_is_killed_in_the_middle_of_an_apply_comes_back_with_the_newest_state() {
    on_every_engine!(killed_in_the_middle);
}

#[test]
fn an_engine_that_hangs_is_told_and_heals_by_itself() {
    on_every_engine!(hangs);
}

#[test]
fn nonsense_in_place_of_the_engine_is_no_proof() {
    on_every_engine!(nonsense);
}

async fn a_full_disk<S: Subject>() {
    let run = Run::<S>::begin(|site| Some(Mount::tmpfs(site.live_file().parent().unwrap(), "size=128k"))).await;
    let directory = run.site.live_file().parent().unwrap().to_owned();
    let filler = run.mount.as_ref().unwrap().fill(&directory);
    let report = run.push().await;
    let cause = rolled_back(&report);
    assert!(cause.class == ErrorClass::Transient && cause.cure.contains("df -h"), "{cause:?}");
    run.keeps_its_word(&report);
    drop(filler);
    run.heals().await;
}

async fn a_read_only_disk<S: Subject>() {
    let run = Run::<S>::begin(|site| Some(Mount::tmpfs(site.live_file().parent().unwrap(), "size=1m"))).await;
    let mount = run.mount.as_ref().unwrap();
    mount.remount("ro");
    let report = run.push().await;
    let cause = rolled_back(&report);
    assert!(cause.class == ErrorClass::Transient && cause.cure.contains("remount"), "{cause:?}");
    run.keeps_its_word(&report);
    mount.remount("rw");
    run.heals().await;
}

/// Nothing heals that a person has to allow first: the cure says so, and the next push succeeds.
async fn a_lost_permission<S: Subject>() {
    let run = Run::<S>::begin(|_| None).await;
    let locked = Immutable::new(run.site.live_file().parent().unwrap());
    let report = run.push().await;
    let cause = rolled_back(&report);
    assert!(cause.class == ErrorClass::Permanent && cause.cure.contains("push again"), "{cause:?}");
    run.keeps_its_word(&report);
    drop(locked);
    apply_ok(&run.agent, &run.wanted).await;
    run.heals().await;
}

async fn hangs<S: Subject>() {
    let mut run = Run::<S>::begin(|_| None).await;
    // Nobody answers clients either.
    assert_eq!(run.load.take().unwrap().stop(), Vec::<String>::new());
    let hanging = S::hang(run.site.dir.path());
    let report = run.push().await;
    if let Outcome::RolledBack { cause } | Outcome::RollbackFailed { cause, .. } = &report.outcome {
        assert_eq!(cause.class, ErrorClass::Transient, "{report:?}");
        assert!(run.agent.status().last_error.is_some(), "{report:?}");
    }
    drop(hanging);
    run.heals().await;
}

async fn nonsense<S: Subject>() {
    let run = Run::<S>::begin(|_| None).await;
    let impostor = S::impersonate(run.site.dir.path());
    let report = run.push().await;
    run.keeps_its_word(&report);
    drop(impostor);
    run.heals().await;
}

async fn killed_in_the_middle<S: Subject>() {
    for point in ["swap:renamed", "reload:sent"] {
        let mut site = Site::<S>::new();
        let (dir, armed) = (site.dir.path().to_owned(), Arc::new(AtomicBool::new(false)));
        let trigger = armed.clone();
        let hook: StepHook = Arc::new(move |reached| {
            if reached == point && trigger.swap(false, Ordering::SeqCst) {
                S::kill(&dir);
            }
        });
        let settings = settings_in::<S>(site.dir.path());
        let agent = Agent::start(settings, Some(hook), &mut site.registry).await.unwrap();
        let mut run = Run::serving(site, agent, None).await;
        // With the engine its connections die.
        drop(run.load.take().unwrap().stop());
        armed.store(true, Ordering::SeqCst);
        let report = run.push().await;
        assert!(!armed.load(Ordering::SeqCst), "{point} was never reached: {report:?}");
        // Also one that was killed right after its proof is started again.
        run.is_served_again().await;
        run.keeps_its_word(&report);
        run.heals().await;
    }
}

/// A site that serves its first state, under load, and is to get its second.
struct Run<S: Subject> {
    agent: AgentHandle,
    load: Option<Load>,
    before: Vec<u8>,
    wanted: DesiredState,
    ports: [u16; 2],
    // The mount before the site: a directory with something mounted in it cannot be removed.
    mount: Option<Mount>,
    site: Site<S>,
}

impl<S: Subject> Run<S> {
    async fn begin(mount: fn(&Site<S>) -> Option<Mount>) -> Self {
        let mut site = Site::<S>::new();
        let mount = mount(&site);
        S::interpose(site.dir.path());
        let agent = site.start().await;
        Self::serving(site, agent, mount).await
    }

    async fn serving(site: Site<S>, agent: AgentHandle, mount: Option<Mount>) -> Self {
        let (vip, one, two) = (site.free_port(), backend(site.address), backend(site.address));
        apply_ok(&agent, &state(1, vec![(listener("http", vip), vec![at(one)])])).await;
        let load = Load::start(vip);
        load.see(10);
        let before = std::fs::read(site.live_file()).unwrap();
        // A backend that leaves without a drain may lose its connections.
        let wanted = state(2, vec![(listener("http", vip), vec![at(two), draining(at(one))])]);
        Self { agent, load: Some(load), before, wanted, ports: [one.port(), two.port()], site, mount }
    }

    async fn push(&self) -> ApplyReport {
        apply(&self.agent, &self.wanted).await
    }

    fn answering(&self) -> BTreeSet<u16> {
        answering(self.wanted.listeners[0].bind)
    }

    /// The agent, which starts the engine, lives on this thread.
    async fn is_served_again(&self) {
        let served = async {
            while ask_once(self.wanted.listeners[0].bind).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, served).await.unwrap_or_else(|_| panic!("nobody is served: {:?}", self.agent.status()));
    }

    /// What the outcome says is what clients and disk see.
    fn keeps_its_word(&self, report: &ApplyReport) {
        let [one, two] = self.ports;
        let (seen, file) = (self.answering(), std::fs::read(self.site.live_file()).unwrap());
        let status = self.agent.status();
        match &report.outcome {
            Outcome::Applied => assert_eq!(seen, [two].into(), "{report:?}"),
            // Unless it was tried again meanwhile, with success.
            Outcome::RolledBack { .. } if status.pending.is_none() => {
                assert!(is_live(&status, &self.wanted), "{report:?}");
            }
            Outcome::RolledBack { .. } => {
                assert_eq!((seen, file == self.before), ([one].into(), true), "{report:?}");
                assert_eq!(report.live.unwrap().position.revision.0, 1, "{report:?}");
                assert!(status.last_error.is_some_and(|e| e.position == Some(self.wanted.position)), "{report:?}");
            }
            Outcome::RollbackFailed { .. } => {
                assert!(seen.is_subset(&self.ports.into()), "{report:?}");
                assert!(status.pending.is_none() || status.last_error.is_some(), "{report:?}");
            }
            other => panic!("{other:?}"),
        }
        if let Some(load) = &self.load {
            load.see(10);
        }
    }

    /// The state goes live though nobody pushes it again, and no request was lost.
    async fn heals(self) {
        let live = timeout(SOON, self.agent.wait_until(|status| is_live(status, &self.wanted))).await;
        let status = live.unwrap_or_else(|_| panic!("it does not heal: {:?}", self.agent.status()));
        assert_eq!((status.pending, status.last_error), (None, None));
        assert_eq!(self.answering(), [self.ports[1]].into());
        self.site.check_live_file();
        assert_eq!(self.load.map(Load::stop).unwrap_or_default(), Vec::<String>::new());
        self.agent.shutdown().await;
    }
}

fn is_live(status: &AgentStatus, wanted: &DesiredState) -> bool {
    status.live.as_ref().is_some_and(|live| live.position == wanted.position)
}
