//! From the sections as written to what each role needs. Pure: no file is opened here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_core::ids::ClusterName;
use tidegate_core::policy::NodePolicy;

use super::listeners::read_listeners;
use super::problem::{Place, Problems, Spot};
use super::raw::{RawAgent, RawConfig, RawEngine, RawLoadBalancer, RawNodes, RawTls};
use super::read::At;
use super::text::Text;
use super::{
    AgentConfig, ControllerConfig, EngineConfig, LoadBalancerConfig, NginxConfig, Role, RunConfig, StoreConfig,
    TlsConfig, WebhookConfig, defaults,
};

/// Reads the sections of one file; relative paths start at the folder of the file.
pub struct Validator<'a> {
    /// The sections.
    pub raw: &'a RawConfig,
    /// The folder of the file.
    pub base: &'a Path,
    /// What is wrong with them.
    pub problems: &'a mut Problems,
}

/// The value of a key, or its default.
pub fn value_or<T: Clone>(field: Option<&At<Text<T>>>, default: T) -> T {
    field.map_or(default, |at| at.value.0.clone())
}

impl Validator<'_> {
    /// What `tidegate run` needs; none when something is wrong.
    pub fn run(&mut self) -> Option<RunConfig> {
        if let Some(list) = self.raw.load_balancers.as_ref().filter(|list| !list.value.is_empty()) {
            let cure = "remove it; or use `tidegate controller` here and `tidegate agent` on each load balancer";
            self.problems.error(&list.spot, "`tidegate run` drives only the agent in its own process", cure);
        }
        let controller = self.controller_without_load_balancers(Role::Run);
        let agent = self.agent_of(Role::Run);
        Some(RunConfig { controller: controller?, agent: agent? })
    }

    /// What `tidegate controller` needs; none when something is wrong.
    pub fn controller(&mut self) -> Option<ControllerConfig> {
        let controller = self.controller_without_load_balancers(Role::Controller);
        let load_balancers = self.load_balancers();
        Some(ControllerConfig { load_balancers, ..controller? })
    }

    /// The cluster and its store; none when something is wrong.
    pub fn recorded(&mut self) -> Option<(ClusterName, StoreConfig)> {
        let cluster = self.need(self.raw.cluster.as_ref(), "cluster", Role::Controller, "cluster: { name: prod }");
        let store = self.store(Role::Controller);
        Some((cluster?.name.as_ref()?.value.0.clone(), store?))
    }

    /// What an agent renders with: its secrets are of no interest. None when something is wrong.
    pub fn render_agent(&mut self) -> Option<AgentConfig> {
        self.agent_of(Role::Run)
    }

    /// What `tidegate agent` needs; none when something is wrong.
    pub fn agent(&mut self) -> Option<AgentConfig> {
        self.agent_of(Role::Agent)
    }

    /// Notes that a section is missing, unless it is there and was found wrong.
    pub fn need<T>(&mut self, section: Option<T>, key: &str, role: Role, example: &str) -> Option<T> {
        if section.is_none() && !self.problems.mentions(key) {
            let spot = Spot::document().key(key, Place::START);
            let message = format!("is missing; `tidegate {}` needs it", role.as_str());
            self.problems.error(&spot, message, format!("add `{example}`"));
        }
        section
    }

    fn controller_without_load_balancers(&mut self, role: Role) -> Option<ControllerConfig> {
        let raw = self.raw;
        let cluster = self.need(raw.cluster.as_ref(), "cluster", role, "cluster: { name: prod }");
        let store = self.store(role);
        let listeners = read_listeners(self, role);
        let policy = raw.nodes.as_ref().map(|nodes| self.policy(nodes)).unwrap_or_default();
        let resync = self.resync();
        let api = value_or(raw.api.as_ref().and_then(|api| api.listen.as_ref()), defaults::API_LISTEN);
        let cluster = cluster?;
        Some(ControllerConfig {
            cluster: cluster.name.as_ref()?.value.0.clone(),
            kubeconfig: cluster.kubeconfig.as_ref().map(|file| self.path(file)),
            policy,
            resync,
            store: store?,
            listeners,
            load_balancers: Vec::new(),
            api,
        })
    }

    fn store(&mut self, role: Role) -> Option<StoreConfig> {
        let example = format!("store: {{ sqlite: {{ path: {} }} }}", defaults::SQLITE_PATH);
        let store = self.need(self.raw.store.as_ref(), "store", role, &example)?;
        let Some(sqlite) = &store.sqlite else {
            if !self.problems.mentions("store") {
                self.problems.error(&store.spot, "no backend is chosen", format!("write `{example}`"));
            }
            return None;
        };
        let path = sqlite.path.as_ref().map_or_else(|| PathBuf::from(defaults::SQLITE_PATH), |file| self.path(file));
        Some(StoreConfig::Sqlite(path))
    }

    fn policy(&mut self, nodes: &RawNodes) -> NodePolicy {
        let default = NodePolicy::default();
        let families = nodes.ip_families.as_ref();
        if let Some(empty) = families.filter(|list| list.value.is_empty() && !self.problems.mentions(&list.spot.path)) {
            self.problems.error(&empty.spot, "is empty: no node would have an address", "write [ipv4] or [ipv4, ipv6]");
        }
        let mut ip_families = Vec::new();
        for family in families.into_iter().flat_map(|list| &list.value) {
            if ip_families.contains(&family.value.0) {
                self.problems.error(&family.spot, "stands in the list twice", "remove one of the two");
            }
            ip_families.push(family.value.0);
        }
        let drain_taints = nodes.drain_taints.iter().flat_map(|list| &list.value).map(|key| key.0.0.clone()).collect();
        NodePolicy {
            selector: nodes.selector.as_ref().map(|s| s.value.0.clone()),
            address_type: value_or(nodes.address_type.as_ref(), default.address_type),
            ip_families: if families.is_some() { ip_families } else { default.ip_families },
            not_ready: value_or(nodes.not_ready.as_ref(), default.not_ready),
            join_delay: value_or(nodes.join_delay.as_ref(), default.join_delay),
            drain_timeout: value_or(nodes.drain_timeout.as_ref(), default.drain_timeout),
            drain_on_cordon: value_or(nodes.drain_on_cordon.as_ref(), default.drain_on_cordon),
            ignore_exclude_label: value_or(nodes.ignore_exclude_label.as_ref(), default.ignore_exclude_label),
            drain_taints,
        }
    }

    fn resync(&mut self) -> Duration {
        let Some(resync) = &self.raw.resync else { return defaults::RESYNC };
        let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
        if !bounds.contains(&resync.value.0) {
            self.problems.error(&resync.spot, "is out of bounds", "write 1s to 1h; 60s suits most clusters");
        }
        resync.value.0
    }

    fn load_balancers(&mut self) -> Vec<LoadBalancerConfig> {
        let example = "loadBalancers: [{ name: lb-1, url: \"https://10.0.0.5:8686\", secretFile: /etc/tidegate/webhook.secret }]";
        let list = self.need(self.raw.load_balancers.as_ref(), "loadBalancers", Role::Controller, example);
        let Some(list) = list else { return Vec::new() };
        if list.value.is_empty() && !self.problems.mentions("loadBalancers") {
            self.problems.error(&list.spot, "is empty; `tidegate controller` needs one", format!("write `{example}`"));
        }
        self.check_distinct(&list.value);
        list.value.iter().filter_map(|lb| self.load_balancer(lb)).collect()
    }

    fn check_distinct(&mut self, list: &[At<RawLoadBalancer>]) {
        for (n, lb) in list.iter().enumerate() {
            let before = list.iter().take(n);
            if let Some(name) = &lb.name
                && let Some(other) = before.clone().filter_map(|o| o.name.as_ref()).find(|o| o.value == name.value)
            {
                let message = format!("name {} is taken (line {})", name.value.0, other.spot.place.line);
                self.problems.error(&name.spot, message, "give each load balancer a name of its own");
            }
            if let Some(url) = &lb.url
                && let Some(other) = before.clone().filter_map(|o| o.url.as_ref()).find(|o| o.value == url.value)
            {
                let message = format!("the same agent stands in line {}", other.spot.place.line);
                self.problems.error(&url.spot, message, "remove one of the two");
            }
        }
    }

    fn load_balancer(&mut self, lb: &At<RawLoadBalancer>) -> Option<LoadBalancerConfig> {
        let client_identity = match (&lb.client_cert_file, &lb.client_key_file) {
            (Some(cert), Some(key)) => Some((self.path(cert), self.path(key))),
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                self.problems.error(&one.spot, "comes alone", "write clientCertFile and clientKeyFile, or neither");
                None
            }
        };
        let url = lb.url.as_ref()?;
        if url.0.0.scheme() == "http" && !is_loopback(&url.0.0) {
            let cure = "use https with agent.tls, unless the network is trusted";
            self.problems.warning(&url.spot, "what is sent can be read on the way (it cannot be forged)", cure);
        }
        let timeout = value_or(lb.timeout.as_ref(), defaults::PUSH_TIMEOUT);
        if let Some(given) = lb.timeout.as_ref().filter(|_| timeout < Duration::from_secs(1)) {
            self.problems.error(&given.spot, "is too short for any reload", "write at least 1s; 30s suits most");
        }
        Some(LoadBalancerConfig {
            name: lb.name.as_ref()?.value.0.clone(),
            url: url.0.0.clone(),
            secret_file: self.path(lb.secret_file.as_ref()?),
            ca_file: lb.ca_file.as_ref().map(|file| self.path(file)),
            client_identity,
            timeout,
        })
    }

    fn agent_of(&mut self, role: Role) -> Option<AgentConfig> {
        let agent = self.need(self.raw.agent.as_ref(), "agent", role, "agent: { engine: { nginx: {} } }")?;
        let secret_files: Vec<PathBuf> =
            agent.secret_files.iter().flat_map(|list| &list.value).map(|file| self.path(file)).collect();
        if role == Role::Agent && secret_files.is_empty() && !self.problems.mentions("agent.secretFiles") {
            let spot = agent.secret_files.as_ref().map_or_else(|| agent.spot.key("secretFiles", agent.spot.place), |l| l.spot.clone());
            let cure = "add `secretFiles: [ /etc/tidegate/webhook.secret ]`";
            self.problems.error(&spot, "no secret: nobody could send this agent anything", cure);
        }
        let tls = agent.tls.as_ref().map(|tls| self.tls(tls));
        let engine = agent.engine.as_ref().and_then(|engine| self.engine(engine));
        Some(AgentConfig {
            cluster: self.raw.cluster.as_ref().and_then(|c| c.name.as_ref()).map(|name| name.value.0.clone()),
            state_dir: self.path_or(agent.state_dir.as_ref(), defaults::STATE_DIR),
            engine: engine?,
            webhook: self.webhook(agent, secret_files, tls.unwrap_or_default()),
        })
    }

    fn webhook(&self, agent: &RawAgent, secret_files: Vec<PathBuf>, tls: Option<TlsConfig>) -> WebhookConfig {
        WebhookConfig {
            listen: value_or(agent.listen.as_ref(), defaults::AGENT_LISTEN),
            secret_files,
            tls,
            max_body_bytes: value_or(agent.max_body_bytes.as_ref(), defaults::MAX_BODY_BYTES),
        }
    }

    fn tls(&self, tls: &RawTls) -> Option<TlsConfig> {
        Some(TlsConfig {
            cert_file: self.path(tls.cert_file.as_ref()?),
            key_file: self.path(tls.key_file.as_ref()?),
            client_ca_file: tls.client_ca_file.as_ref().map(|file| self.path(file)),
        })
    }

    fn engine(&mut self, engine: &At<RawEngine>) -> Option<EngineConfig> {
        let Some(nginx) = &engine.nginx else {
            if !self.problems.mentions("agent.engine") {
                self.problems.error(&engine.spot, "no engine is chosen", "write `nginx: {}`");
            }
            return None;
        };
        Some(EngineConfig::Nginx(NginxConfig {
            config_file: self.path_or(nginx.config_file.as_ref(), defaults::NGINX_CONFIG),
            template: nginx.template.as_ref().map(|file| self.path(file)),
            min_reload_interval: value_or(nginx.min_reload_interval.as_ref(), defaults::MIN_RELOAD_INTERVAL),
            binary: self.program(nginx.binary.as_ref()),
            workers: nginx.workers.as_ref().map(|n| n.value.0),
            worker_shutdown_timeout: nginx.worker_shutdown_timeout.as_ref().map(|t| t.value.0),
        }))
    }

    /// A path as the file has it, from the folder of the file.
    pub fn path(&self, file: &At<Text<PathBuf>>) -> PathBuf {
        self.base.join(&file.value.0)
    }

    fn path_or(&self, file: Option<&At<Text<PathBuf>>>, default: &str) -> PathBuf {
        file.map_or_else(|| PathBuf::from(default), |file| self.path(file))
    }

    /// A program without a folder is looked up in PATH.
    fn program(&self, file: Option<&At<Text<PathBuf>>>) -> PathBuf {
        match file {
            None => PathBuf::from(defaults::NGINX_BINARY),
            Some(bare) if bare.value.0.components().count() == 1 => bare.value.0.clone(),
            Some(path) => self.path(path),
        }
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
}
