//! The agent: where it listens, whom it trusts, what it drives.

use std::path::PathBuf;

use tidegate_agent::{DriftPolicy, ProbeSettings, Sources};

use super::{Validator, value_or};
use crate::config::raw::{RawAgent, RawTls};
use crate::config::read::At;
use crate::config::text::Text;
use crate::config::{AgentConfig, Role, TlsConfig, WebhookConfig, defaults};

impl Validator<'_> {
    /// What an agent needs in this role; none when something is wrong.
    pub(super) fn agent_of(&mut self, role: Role) -> Option<AgentConfig> {
        let agent = self.need(self.raw.agent.as_ref(), "agent", role, "agent: { engine: { nginx: {} } }")?;
        let secret_files: Vec<PathBuf> =
            agent.secret_files.iter().flat_map(|list| &list.value).map(|file| self.path(file)).collect();
        if role == Role::Agent && secret_files.is_empty() && !self.problems.mentions("agent.secretFiles") {
            let spot = agent
                .secret_files
                .as_ref()
                .map_or_else(|| agent.spot.key("secretFiles", agent.spot.place), |l| l.spot.clone());
            let cure = "add `secretFiles: [ /etc/tidegate/webhook.secret ]`";
            self.problems.error(&spot, "no secret: nobody could send this agent anything", cure);
        }
        let tls = agent.tls.as_ref().map(|tls| self.tls(tls));
        let engine = agent.engine.as_ref().and_then(|engine| self.engine(engine));
        Some(AgentConfig {
            cluster: self.raw.cluster.as_ref().and_then(|c| c.name.as_ref()).map(|name| name.value.0.clone()),
            state_dir: self.path_or(agent.state_dir.as_ref(), defaults::STATE_DIR),
            engine: engine?,
            drift: value_or(agent.drift.as_ref(), DriftPolicy::default()),
            probes: self.probes(agent),
            zone: agent.zone.as_ref().map(|zone| zone.value.0.clone()),
            webhook: webhook(agent, secret_files, tls.unwrap_or_default()),
        })
    }

    fn probes(&mut self, agent: &RawAgent) -> Option<ProbeSettings> {
        let Some(probes) = &agent.probes else { return Some(ProbeSettings::default()) };
        let sources: Vec<_> = probes.sources.iter().flat_map(|list| &list.value).collect();
        for (n, source) in sources.iter().enumerate() {
            let earlier = sources.iter().take(n).find(|other| other.value.0.is_ipv4() == source.value.0.is_ipv4());
            if let Some(earlier) = earlier {
                let message = format!("{} is of the same family (line {})", earlier.value.0, earlier.spot.place.line);
                self.problems.error(&source.spot, message, "leave one address of each family");
            }
        }
        let sources = Sources::new(sources.iter().map(|source| source.value.0).collect());
        value_or(probes.enabled.as_ref(), true).then_some(ProbeSettings { sources })
    }

    fn tls(&self, tls: &RawTls) -> Option<TlsConfig> {
        Some(TlsConfig {
            cert_file: self.path(tls.cert_file.as_ref()?),
            key_file: self.path(tls.key_file.as_ref()?),
            client_ca_file: tls.client_ca_file.as_ref().map(|file| self.path(file)),
        })
    }

    pub(super) fn path_or(&self, file: Option<&At<Text<PathBuf>>>, default: &str) -> PathBuf {
        file.map_or_else(|| PathBuf::from(default), |file| self.path(file))
    }
}

fn webhook(agent: &RawAgent, secret_files: Vec<PathBuf>, tls: Option<TlsConfig>) -> WebhookConfig {
    WebhookConfig {
        listen: value_or(agent.listen.as_ref(), defaults::AGENT_LISTEN),
        secret_files,
        tls,
        max_body_bytes: value_or(agent.max_body_bytes.as_ref(), defaults::MAX_BODY_BYTES),
    }
}
