//! One agent with one real nginx, in a directory of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prometheus_client::registry::Registry;
use rustix::process::{Pid, Signal, kill_process};
use tidegate_agent::{
    Agent, AgentHandle, AgentSettings, AuditSettings, EngineSettings, NginxSettings, StartError, StepHook,
};
use tidegate_core::desired::DesiredState;
use tidegate_core::protocol::{ApplyReport, Failure, Outcome};

use crate::traffic::{free_port, own_address, until};

pub struct Rig {
    pub dir: tempfile::TempDir,
    pub address: Ipv4Addr,
    pub nginx: NginxSettings,
    pub take_over: bool,
    pub registry: Registry,
}

impl Rig {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("tg-agent-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("conf")).unwrap();
        let nginx = Self::nginx_in(dir.path());
        Self { dir, address: own_address(), nginx, take_over: false, registry: Registry::default() }
    }

    fn nginx_in(dir: &Path) -> NginxSettings {
        NginxSettings { min_reload_interval: Duration::ZERO, ..NginxSettings::new(dir.join("conf/nginx.conf")) }
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn settings(&self) -> AgentSettings {
        AgentSettings {
            cluster: None,
            state_dir: self.state_dir(),
            engine: EngineSettings::Nginx(self.nginx.clone()),
            take_over: self.take_over,
            audit: AuditSettings::default(),
            probes: None,
            zone: None,
        }
    }

    pub async fn try_start(&mut self, hook: Option<StepHook>) -> Result<AgentHandle, StartError> {
        Agent::start(self.settings(), hook, &mut self.registry).await
    }

    pub async fn start(&mut self) -> AgentHandle {
        self.try_start(None).await.unwrap()
    }

    pub fn free_port(&self) -> SocketAddr {
        free_port(self.address)
    }

    pub fn live_text(&self) -> String {
        std::fs::read_to_string(&self.nginx.config_file).unwrap()
    }

    /// Files beside the live one.
    pub fn conf_dir(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.nginx.config_file.parent().unwrap()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The live file passes nginx's own check.
    pub fn check_live_file(&self) {
        let output = std::process::Command::new("nginx")
            .args(["-t", "-q", "-e", "stderr", "-c"])
            .arg(&self.nginx.config_file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The nginx that serves this rig, proved by its command line.
    pub fn master(&self) -> Option<i32> {
        let pid: i32 = std::fs::read_to_string(self.state_dir().join("nginx.pid")).ok()?.trim().parse().ok()?;
        let line = command_line(pid);
        (line.starts_with("nginx: master") && line.contains(self.dir.path().to_str().unwrap())).then_some(pid)
    }

    pub fn workers(&self) -> Vec<i32> {
        let Some(master) = self.master() else { return Vec::new() };
        let text = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
        text.split_whitespace().map(|t| t.parse().unwrap()).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end_nginx();
    }
}

impl Rig {
    /// Kills master and workers, and waits until the kernel has done so.
    pub fn kill_nginx(&self) {
        let all: Vec<i32> = self.master().into_iter().chain(self.workers()).collect();
        assert!(!all.is_empty());
        all.iter().copied().for_each(kill);
        until("nginx is gone", || all.iter().all(|pid| command_line(*pid).is_empty()));
    }

    /// Ends the nginx of this rig, and whatever it left behind.
    pub fn end_nginx(&self) {
        // The master first: it would replace a killed worker. Then whoever is left without one.
        self.master().into_iter().for_each(kill);
        self.holders_of_our_log().into_iter().for_each(kill);
    }

    fn holders_of_our_log(&self) -> Vec<i32> {
        let log = self.state_dir().join("nginx-error.log");
        let holds = |pid: &i32| {
            let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            command_line(*pid).starts_with("nginx: ")
                && files.into_iter().any(|f| std::fs::read_link(f.path()).is_ok_and(|to| to == log))
        };
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        pids.filter(holds).collect()
    }
}

pub fn command_line(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

pub fn kill(pid: i32) {
    _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

pub async fn apply(agent: &AgentHandle, state: &DesiredState) -> ApplyReport {
    agent.submit(state.clone()).await.unwrap()
}

pub async fn apply_ok(agent: &AgentHandle, state: &DesiredState) -> ApplyReport {
    let report = apply(agent, state).await;
    assert_eq!(report.outcome, Outcome::Applied, "{report:#?}");
    assert_eq!(report.live.unwrap().position, state.position);
    report
}

pub fn rolled_back(report: &ApplyReport) -> &Failure {
    match &report.outcome {
        Outcome::RolledBack { cause } => cause,
        other => panic!("expected a roll back, got {other:#?}"),
    }
}
