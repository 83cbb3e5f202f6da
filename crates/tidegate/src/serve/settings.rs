//! From the configuration to the settings of controller and agent.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use tidegate_agent::{AgentSettings, AuditSettings, TlsSettings, WebhookSettings};
use tidegate_controller::{ControllerSettings, HttpPublisherSettings};
use tidegate_core::ids::LoadBalancerName;

use crate::config::files::{SecretError, read_secret};
use crate::config::{AgentConfig, ControllerConfig, ElectionConfig, LoadBalancerConfig, WebhookConfig, defaults};

/// Kubernetes tells a pod its namespace here.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Settings of the controller.
pub fn controller_settings(config: &ControllerConfig) -> ControllerSettings {
    ControllerSettings {
        cluster: config.cluster.clone(),
        policy: config.policy.clone(),
        listeners: config.listeners.clone(),
        resync: config.resync,
        holder: holder(),
        finalizer: config.finalizer,
        lease: config.election.as_ref().map(|election| election.policy).unwrap_or_default(),
    }
}

/// `<pod or host>_<process>_<random>`: another one at each start, because a process that starts again on the same machine
/// must not take what the former one held for its own.
fn holder() -> String {
    let random = RandomState::new().build_hasher().finish() & 0xff_ffff;
    format!("{}_{}_{random:06x}", instance_name(), std::process::id())
}

/// The pod, else the machine.
pub fn instance_name() -> String {
    std::env::var("POD_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(host_name)
}

/// Where the Leases are: as configured, else beside the pod, else where our manifests put them.
pub fn namespace_of(election: &ElectionConfig) -> String {
    let pod = || std::fs::read_to_string(POD_NAMESPACE).ok().map(|text| text.trim().to_owned());
    let found = election.namespace.clone().or_else(pod).filter(|name| !name.is_empty());
    found.unwrap_or_else(|| defaults::NAMESPACE.to_owned())
}

/// Settings of the agent.
pub fn agent_settings(config: &AgentConfig, take_over: bool) -> AgentSettings {
    AgentSettings {
        cluster: config.cluster.clone(),
        state_dir: config.state_dir.clone(),
        engine: config.engine.clone(),
        take_over,
        audit: AuditSettings { drift: config.drift, ..AuditSettings::default() },
        probes: config.probes.clone(),
        zone: config.zone.clone(),
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

/// The name of this machine.
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
