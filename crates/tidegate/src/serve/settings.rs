//! From the configuration to the settings of controller and agent.

use tidegate_agent::{AgentSettings, EngineSettings, NginxSettings, TlsSettings, WebhookSettings};
use tidegate_controller::{ControllerSettings, HttpPublisherSettings};
use tidegate_core::ids::LoadBalancerName;

use crate::config::files::{SecretError, read_secret};
use crate::config::{AgentConfig, ControllerConfig, EngineConfig, LoadBalancerConfig, WebhookConfig};

/// Settings of the controller.
pub fn controller_settings(config: &ControllerConfig) -> ControllerSettings {
    ControllerSettings {
        cluster: config.cluster.clone(),
        policy: config.policy.clone(),
        listeners: config.listeners.clone(),
        resync: config.resync,
        holder: format!("{}/{}", host_name(), std::process::id()),
    }
}

/// Settings of the agent.
pub fn agent_settings(config: &AgentConfig, take_over: bool) -> AgentSettings {
    let EngineConfig::Nginx(nginx) = &config.engine;
    let engine = NginxSettings {
        template: nginx.template.clone(),
        min_reload_interval: nginx.min_reload_interval,
        binary: nginx.binary.clone(),
        workers: nginx.workers,
        worker_shutdown_timeout: nginx.worker_shutdown_timeout,
        ..NginxSettings::new(nginx.config_file.clone())
    };
    AgentSettings {
        cluster: config.cluster.clone(),
        state_dir: config.state_dir.clone(),
        engine: EngineSettings::Nginx(engine),
        take_over,
    }
}

/// Settings of the agent's webhook; reads the secret files.
pub fn webhook_settings(config: &WebhookConfig) -> Result<WebhookSettings, SecretError> {
    let tls = config.tls.as_ref().map(|tls| TlsSettings {
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
        client_ca_file: tls.client_ca_file.clone(),
    });
    Ok(WebhookSettings {
        listen: config.listen,
        secrets: config.secret_files.iter().map(|path| read_secret(path)).collect::<Result<_, _>>()?,
        max_body_bytes: config.max_body_bytes,
        tls,
    })
}

/// Settings of the connection to one load balancer; reads its secret file.
pub fn publisher_settings(config: &LoadBalancerConfig) -> Result<HttpPublisherSettings, SecretError> {
    let (client_cert_file, client_key_file) = config.client_identity.clone().unzip();
    Ok(HttpPublisherSettings {
        name: config.name.clone(),
        url: config.url.to_string(),
        secrets: vec![read_secret(&config.secret_file)?],
        ca_file: config.ca_file.clone(),
        client_cert_file,
        client_key_file,
        timeout: config.timeout,
    })
}

/// The name of this machine as a load balancer; `local` where its host name is no such name.
pub fn own_name() -> anyhow::Result<LoadBalancerName> {
    Ok(LoadBalancerName::parse(host_name().to_lowercase()).or_else(|_| LoadBalancerName::parse("local"))?)
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
