//! The agent on a load balancer machine: takes desired states and proves that they are live.
//!
//! The path of a state: [`webhook`] (or the same process) -> [`agent`] (one mailbox: at most one apply
//! in flight, the newest state wins) -> [`pipeline`] (render -> validate -> swap -> reload -> verify,
//! any failure rolls back) -> [`engine`] (what the five steps mean for each program).

#![warn(missing_docs)]

pub mod agent;
pub mod command;
pub mod connections;
pub mod engine;
pub mod file;
pub mod hook;
mod metrics;
pub mod pipeline;
pub mod preflight;
mod probe;
mod render;
pub mod settings;
pub mod snapshot;
mod template;
pub mod webhook;

pub use agent::{Agent, AgentHandle, StartError};
pub use hook::StepHook;
pub use render::{render_for, render_to_string};
pub use settings::{
    AgentSettings, AuditSettings, CustomSettings, DriftPolicy, EngineSettings, EnvoySettings, HaproxySettings,
    Masquerade, NftablesSettings, NginxSettings, ProbeSettings, Sources,
};
pub use template::view;
pub use webhook::{TlsSettings, WebhookError, WebhookServer, WebhookSettings, serve_webhook};
