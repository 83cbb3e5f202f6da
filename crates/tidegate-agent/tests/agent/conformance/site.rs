//! One engine with its agent, in a directory of its own.

use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tidegate_agent::{Agent, AgentHandle, AgentSettings, AuditSettings, DriftPolicy, EngineSettings};
use tidegate_core::node::Zone;

use super::interposed::{Fault, Stopped};
use crate::traffic::{free_port, own_address};

/// An engine under test.
pub trait Subject: Send + Sync + 'static {
    /// Moves the thread of the test to where nothing of the engine's is shared with other tests.
    fn enter() {}

    /// Its settings, with every file of its own below `dir`.
    fn settings(dir: &Path) -> EngineSettings;

    /// What its own checker says of a file.
    fn check(file: &Path) -> Result<(), String>;

    /// Ends whatever carries its traffic, as hard as can be, and waits until it is gone. Ends nothing when nothing runs.
    fn kill(dir: &Path);

    /// Processes that carry its traffic.
    fn processes(dir: &Path) -> Vec<i32>;

    /// What the faults below need, before its agent starts.
    fn interpose(_dir: &Path) {}

    /// It answers nobody until the answer is dropped.
    fn hang(dir: &Path) -> Fault {
        Box::new(Stopped::new(Self::processes(dir)))
    }

    /// Somebody else answers the agent, and nonsense, until the answer is dropped.
    fn impersonate(dir: &Path) -> Fault;

    /// Changes what it serves behind the agent's back, without touching the live file; false when that is impossible.
    fn tamper(dir: &Path) -> bool;

    /// States for the sweep.
    const STATES: u64 = 1_000;

    /// How many of it share the states of the sweep: many of one that mostly waits, few of one that computes.
    const LANES: u64;
}

pub struct Site<S: Subject> {
    pub dir: tempfile::TempDir,
    pub address: Ipv4Addr,
    pub audit: AuditSettings,
    pub registry: Registry,
    pub zone: Option<Zone>,
    subject: PhantomData<S>,
}

/// Settings of an agent of this engine that lives in a directory like this.
pub fn settings_in<S: Subject>(dir: &Path) -> AgentSettings {
    AgentSettings {
        cluster: None,
        state_dir: dir.join("state"),
        engine: S::settings(dir),
        take_over: false,
        audit: AuditSettings::default(),
        probes: None,
        zone: None,
    }
}

impl<S: Subject> Site<S> {
    pub fn new() -> Self {
        S::enter();
        let dir = tempfile::Builder::new().prefix("tg-engine-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("conf")).unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        Self {
            dir,
            address: own_address(),
            audit: AuditSettings::default(),
            registry: Registry::default(),
            zone: None,
            subject: PhantomData,
        }
    }

    /// One that audits often.
    pub fn auditing(drift: DriftPolicy) -> Self {
        let mut site = Self::new();
        site.audit = AuditSettings { every: Duration::from_millis(200), drift };
        site
    }

    pub async fn start(&mut self) -> AgentHandle {
        let settings =
            AgentSettings { audit: self.audit, zone: self.zone.clone(), ..settings_in::<S>(self.dir.path()) };
        Agent::start(settings, None, &mut self.registry).await.unwrap()
    }

    pub fn free_port(&self) -> SocketAddr {
        free_port(self.address)
    }

    pub fn live_file(&self) -> PathBuf {
        S::settings(self.dir.path()).config_file().to_owned()
    }

    pub fn check_live_file(&self) {
        assert_eq!(S::check(&self.live_file()), Ok(()));
    }

    pub fn kill(&self) {
        S::kill(self.dir.path());
    }
}

impl<S: Subject> Drop for Site<S> {
    fn drop(&mut self) {
        S::kill(self.dir.path());
    }
}
