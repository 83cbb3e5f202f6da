//! From the sections as written to what each role needs. Pure: no file is opened here.

mod agent;
mod election;
pub mod engine;
mod load_balancers;
mod nodes;
mod store;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_core::ids::ClusterName;
use tidegate_core::policy::NodePolicy;

use super::listeners::{read_demands, read_listeners};
use super::problem::{Place, Problems, Spot};
use super::raw::RawConfig;
use super::read::At;
use super::text::Text;
use super::{AgentConfig, ControllerConfig, Role, RunConfig, StoreConfig, defaults};

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
        let policy = NodePolicy { demands: read_demands(self), ..policy };
        let finalizer = self.finalizer(policy.drain_timeout);
        let election = self.election(role);
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
            finalizer,
            election,
            api,
            token_file: raw.api.as_ref().and_then(|api| api.token_file.as_ref()).map(|file| self.path(file)),
        })
    }

    fn resync(&mut self) -> Duration {
        let Some(resync) = &self.raw.resync else { return defaults::RESYNC };
        let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
        if !bounds.contains(&resync.value.0) {
            self.problems.error(&resync.spot, "is out of bounds", "write 1s to 1h; 60s suits most clusters");
        }
        resync.value.0
    }

    /// A path as the file has it, from the folder of the file.
    pub fn path(&self, file: &At<Text<PathBuf>>) -> PathBuf {
        self.base.join(&file.value.0)
    }
}
