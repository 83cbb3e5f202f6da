//! What an agent needs of its machine, looked at before it is started, or beside one that runs. Nothing is changed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};

use crate::command::SystemCommands;
use crate::engine::{self, Engine, Pulse, listening, nftables};
use crate::settings::{AgentSettings, EngineSettings};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It is as it should be.
    Good,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work.
    Failure,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In a word.
    pub about: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// What was found.
    pub what: String,
    /// What a person can do; absent where nothing has to be done.
    pub cure: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn good(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, weight: Weight::Good, what: what.into(), cure: None }
    }

    /// Somebody should look at it.
    pub fn warning(about: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { about, weight: Weight::Warning, what: what.into(), cure: Some(cure.into()) }
    }

    /// It does not work.
    pub fn failure(about: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { about, weight: Weight::Failure, what: what.into(), cure: Some(cure.into()) }
    }

    /// An error of ours: what comes after `; cure: ` is the cure.
    pub fn of_error(about: &'static str, error: &dyn std::error::Error) -> Self {
        let text = error.to_string();
        match text.rsplit_once("; cure: ") {
            Some((what, cure)) => Self::failure(about, what, cure),
            None => Self { about, weight: Weight::Failure, what: text, cure: None },
        }
    }
}

/// Looks at the engine, the folders, the ports of these listeners and the kernel.
pub async fn preflight(settings: &AgentSettings, tcp: &[SocketAddr], all: &[SocketAddr]) -> Vec<Finding> {
    let mut findings = Vec::new();
    match engine::open(&settings.engine, &settings.state_dir, Arc::new(SystemCommands)).await {
        Ok(engine) => {
            findings.push(of_engine(&*engine));
            findings.extend(of_ports(&*engine, &settings.engine, tcp));
        }
        Err(error) => findings.push(Finding::of_error("engine", &error)),
    }
    findings.extend(folders(settings).iter().map(|folder| of_folder(folder)));
    if matches!(settings.engine, EngineSettings::Nftables(_)) {
        findings.extend(of_kernel(all));
    }
    findings
}

fn of_engine(engine: &dyn Engine) -> Finding {
    let version = engine.version().map(|version| format!(" {version}")).unwrap_or_default();
    let pulse = match engine.pulse() {
        Pulse::Running { old_generations: 0 } => "runs".to_owned(),
        Pulse::Running { old_generations } => format!("runs, with {old_generations} earlier generations that drain"),
        Pulse::Down { .. } => "does not run yet: `tidegate` starts it".to_owned(),
    };
    Finding::good("engine", format!("{}{version}, which {pulse}", engine.kind()))
}

/// While the engine runs the ports are its own.
fn of_ports(engine: &dyn Engine, settings: &EngineSettings, tcp: &[SocketAddr]) -> Option<Finding> {
    let binds = !matches!(settings, EngineSettings::Nftables(_) | EngineSettings::Custom(_));
    if !binds || tcp.is_empty() || matches!(engine.pulse(), Pulse::Running { .. }) {
        return None;
    }
    Some(match listening::taken(tcp, &[]) {
        None => Finding::good("ports", format!("{} to listen on, all free", tcp.len())),
        Some(at) => Finding::failure(
            "ports",
            format!("another program listens on {at}"),
            format!("find it with `ss -lntp 'sport = :{}'`, and end it or change the listener's bind", at.port()),
        ),
    })
}

/// Where files are written: for each the folder, or the one that it would be made in.
fn folders(settings: &AgentSettings) -> Vec<PathBuf> {
    let config = settings.engine.config_file().parent().map(Path::to_owned);
    let mut folders: Vec<PathBuf> = config.into_iter().chain([settings.state_dir.clone()]).collect();
    folders.sort();
    folders.dedup();
    folders
}

fn of_folder(folder: &Path) -> Finding {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(folder);
    let about = "folder";
    if access(existing, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let cure = format!("run as the user that owns it, or: chown the folder {}", existing.display());
        return Finding::failure(about, format!("{} cannot be written to by this user", existing.display()), cure);
    }
    let made = if existing == folder { "can be written to" } else { "will be made" };
    Finding::good(about, format!("{} {made}", folder.display()))
}

fn of_kernel(binds: &[SocketAddr]) -> Vec<Finding> {
    let problems = nftables::sysctl::problems_here(binds);
    if problems.is_empty() {
        return vec![Finding::good("kernel", "forwards, and follows enough connections")];
    }
    problems.into_iter().map(|problem| Finding::warning("kernel", problem.message, problem.cure)).collect()
}
