//! `tidegate doctor`: asks everything that a configuration names whether it is there and ready, before it is needed.

mod balancers;
mod cluster;
mod store;

use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;
use tidegate_agent::preflight::{Finding, Weight, preflight};
use tidegate_core::desired::{Listener, Protocol};

use crate::cli::{DoctorArgs, Output};
use crate::config::load::{examine, load_agent, load_controller, load_run};
use crate::config::problem::Severity;
use crate::config::{AgentConfig, ControllerConfig, Role};
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, print, print_json};
use crate::serve::settings::agent_settings;

/// What was found, for programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    file: String,
    role: &'static str,
    ok: bool,
    findings: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    about: &'a str,
    result: &'static str,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<&'a str>,
}

/// Looks at all of it; ends with [`Exit::Failed`] when something does not work. Nothing is changed anywhere.
pub async fn doctor(args: &DoctorArgs, screen: Screen) -> Result<Exit, CommandError> {
    crate::tls::install_provider();
    let examined = examine(&args.config, args.role, true)?;
    let role = args.role.or_else(|| examined.roles.first().copied()).unwrap_or(Role::Run);
    let mut findings = Vec::new();
    for problem in examined.problems.iter().filter(|problem| problem.severity == Severity::Warning) {
        findings.push(Finding::warning("config", problem.message.clone(), problem.cure.clone()));
    }
    findings.extend(of_role(role, &args.config).await?);
    let ok = findings.iter().all(|finding| finding.weight != Weight::Failure);
    match args.output {
        Output::Json => {
            let rows = findings.iter().map(row).collect();
            let file = args.config.display().to_string();
            print_json(&Report { file, role: role.as_str(), ok, findings: rows })?;
        }
        Output::Table => print(&text(&findings, role, &args.config, &screen))?,
    }
    Ok(if ok { Exit::Fine } else { Exit::Failed })
}

async fn of_role(role: Role, file: &Path) -> Result<Vec<Finding>, CommandError> {
    let mut findings = Vec::new();
    match role {
        Role::Run => {
            let config = load_run(file)?.config;
            findings.extend(of_controller(&config.controller).await);
            findings.extend(of_agent(&config.agent, &config.controller.listeners).await);
        }
        Role::Controller => {
            let config = load_controller(file)?.config;
            findings.extend(of_controller(&config).await);
            findings.extend(balancers::examine(&config.load_balancers).await);
        }
        Role::Agent => findings.extend(of_agent(&load_agent(file)?.config, &[]).await),
    }
    Ok(findings)
}

async fn of_controller(config: &ControllerConfig) -> Vec<Finding> {
    let (cluster, store) = tokio::join!(cluster::examine(config), store::examine(config));
    cluster.into_iter().chain([store]).collect()
}

/// The listeners are the controller's: an agent alone does not know them before a state has come.
async fn of_agent(config: &AgentConfig, listeners: &[Listener]) -> Vec<Finding> {
    let all: Vec<SocketAddr> = listeners.iter().map(|listener| listener.bind).collect();
    let tcp = listeners.iter().filter(|listener| listener.protocol == Protocol::Tcp);
    let tcp: Vec<SocketAddr> = tcp.map(|listener| listener.bind).collect();
    preflight(&agent_settings(config, false), &tcp, &all).await
}

fn row(finding: &Finding) -> Row<'_> {
    let Finding { about, weight, what, cure } = finding;
    let result = match weight {
        Weight::Good => "good",
        Weight::Warning => "warning",
        Weight::Failure => "failure",
    };
    Row { about, result, what, cure: cure.as_deref() }
}

/// One line for each, its cure below, and a last line that counts.
pub fn text(findings: &[Finding], role: Role, file: &Path, screen: &Screen) -> String {
    let style = screen.style;
    let mut lines = vec![format!("`tidegate {}` with {}", role.as_str(), file.display())];
    for Finding { about, weight, what, cure } in findings {
        // Padded before it is coloured: colour has no width.
        let mark = match weight {
            Weight::Good => style.good("good   "),
            Weight::Warning => style.busy("warning"),
            Weight::Failure => style.bad("FAILURE"),
        };
        lines.push(format!("  {mark}  {about:<10}  {what}"));
        lines.extend(cure.as_ref().map(|cure| format!("           {:<10}  {} {cure}", "", style.bold("cure:"))));
    }
    let count = |weight| findings.iter().filter(|finding| finding.weight == weight).count();
    let verdict = match (count(Weight::Failure), count(Weight::Warning)) {
        (0, 0) => style.good("ready"),
        (0, warnings) => style.busy(&format!("ready, with {}", counted(warnings, "warning"))),
        (failures, 0) => style.bad(&format!("not ready: {}", counted(failures, "failure"))),
        (failures, warnings) => {
            style.bad(&format!("not ready: {}, {}", counted(failures, "failure"), counted(warnings, "warning")))
        }
    };
    lines.push(verdict);
    lines.join("\n") + "\n"
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
