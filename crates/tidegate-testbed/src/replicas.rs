//! A site with replicas: three controllers on machines of their own, a MongoDB between them, an agent on the load balancer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tidegate_core::position::Term;
use tidegate_core::status::ClusterStatus;

use crate::measure::StatusReader;
use crate::relay::Relay;
use crate::scenario::{PORT, active, api, in_sync};
use crate::servers::MongoServer;
use crate::site::Tidegate;
use crate::{Host, Site, SiteOptions, deadline};

/// The machines of the controllers.
pub const CONTROLLERS: [&str; 3] = ["controller-1", "controller-2", "controller-3"];
/// What an operator shows to the API.
pub const TOKEN: &str = "a-token-of-the-testbed";
/// Where the agent listens, on the load balancer machine.
pub(crate) const AGENT_PORT: u16 = 8686;
/// A step that takes longer has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What differs between the tests, as YAML.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    pub drain_timeout: &'static str,
    /// The section `nodes.finalizer`.
    pub finalizer: &'static str,
    /// More keys of `leaderElection`, as `key: value` pairs.
    pub election: &'static str,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self { drain_timeout: "12s", finalizer: "{ enabled: true, deadline: 120s }", election: "" }
    }
}

/// One controller and its ways to the API server and to the database.
#[derive(Debug)]
pub struct Replica {
    pub tidegate: Tidegate,
    pub database: Relay,
    host: Host,
}

impl Replica {
    /// Reads this controller's own status.
    pub fn status(&self) -> Result<StatusReader> {
        Ok(StatusReader::new(&self.host, api()?))
    }
}

/// Everything together. Dropping it stops and removes all of it.
#[derive(Debug)]
pub struct Replicas {
    pub controllers: BTreeMap<&'static str, Replica>,
    pub agent: Tidegate,
    pub site: Site,
    pub mongo: MongoServer,
}

impl Replicas {
    /// Starts everything and waits until every worker is live.
    pub async fn serving(options: SiteOptions, config: ReplicaConfig) -> Result<Self> {
        let workers = options.workers as usize;
        let mongo = MongoServer::start().await?;
        let mut site = Site::start(options).await?;
        let folder = site.folder().to_owned();
        std::fs::write(folder.join("mongodb.uri"), mongo.uri())?;
        std::fs::write(folder.join("api.token"), TOKEN)?;
        let agent = spawn_agent(&site)?;
        let mut controllers = BTreeMap::new();
        for name in CONTROLLERS {
            site.add_lb(name).await?;
            let host = site.lb(name)?.host.clone();
            let database = Relay::start(&host, mongo.address()).await?;
            let tidegate = site.spawn_tidegate_on(name, "controller", &controller_yaml(&site, &config)?)?;
            controllers.insert(name, Replica { tidegate, database, host });
        }
        let replicas = Self { controllers, agent, site, mongo };
        let (leader, _) = replicas.leader(Term(0)).await?;
        replicas.wait(leader, "every worker live", |s| in_sync(s) && active(s) == workers).await?;
        Ok(replicas)
    }

    pub fn controller(&self, name: &str) -> Result<&Replica> {
        self.controllers.get(name).with_context(|| format!("there is no controller {name}"))
    }

    /// The controller that leads in a term above this one, once one does, and its term.
    pub async fn leader(&self, above: Term) -> Result<(&'static str, Term)> {
        let (_, leader, term) = self.new_leader(above, LIMIT).await?;
        Ok((leader, term))
    }

    /// As [`Self::leader`], with the moment at which it was first seen to have made its term live on the load balancer.
    pub async fn new_leader(&self, above: Term, limit: Duration) -> Result<(Instant, &'static str, Term)> {
        let found = deadline::until("a leader", limit, || self.acting(above)).await;
        found.with_context(|| self.logs())
    }

    async fn acting(&self, above: Term) -> Option<(Instant, &'static str, Term)> {
        for (name, replica) in &self.controllers {
            // A process that is stopped does not answer.
            let mut reader = replica.status().ok()?;
            let read = tokio::time::timeout(Duration::from_millis(300), reader.read()).await;
            let Ok(Ok(status)) = read else { continue };
            let leads = status.leader.is_self && status.leader.term > above;
            if leads && status.load_balancers.iter().all(|lb| lb.live.is_some_and(|l| l.position.term > above)) {
                return Some((Instant::now(), name, status.leader.term));
            }
        }
        None
    }

    /// Waits until the status of one controller satisfies `wanted`; an error carries the ends of all logs.
    pub async fn wait(
        &self,
        controller: &str,
        what: &str,
        wanted: impl Fn(&ClusterStatus) -> bool,
    ) -> Result<(Instant, ClusterStatus)> {
        let mut reader = self.controller(controller)?.status()?;
        reader.wait(what, LIMIT, wanted).await.with_context(|| self.logs())
    }

    /// A `tidegate` command on a controller's machine, with the operator's token.
    pub fn command(&self, controller: &str, args: &[&str]) -> Result<std::process::Command> {
        let token = self.site.folder().join("api.token").display().to_string();
        let mut command = self.site.tidegate_command(controller, args)?;
        command.args(["--token-file", &token]);
        Ok(command)
    }

    /// The end of every log.
    pub fn logs(&self) -> String {
        let own = |(name, replica): (&&str, &Replica)| format!("{name}:\n{}\n", replica.tidegate.log_tail(15));
        let controllers: String = self.controllers.iter().map(own).collect();
        format!("{controllers}agent:\n{}", self.agent.log_tail(10))
    }
}

/// Starts an agent with nginx on the load balancer machine of a site, which listens on [`AGENT_PORT`] for hooks that are
/// signed with the secret of [`lb_yaml`].
pub(crate) fn spawn_agent(site: &Site) -> Result<Tidegate> {
    std::fs::write(site.folder().join("webhook.secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
    site.spawn_tidegate_on(Site::LB, "agent", &agent_yaml(site))
}

/// How a controller reaches that agent.
pub(crate) fn lb_yaml(site: &Site) -> Result<String> {
    let (agent, folder) = (site.lb_address(AGENT_PORT)?, site.folder().display());
    Ok(format!("{{ name: lb, url: \"http://{agent}\", secretFile: {folder}/webhook.secret }}"))
}

fn agent_yaml(site: &Site) -> String {
    let folder = site.folder().display();
    format!(
        "cluster: {{ name: testbed }}
agent:
  listen: 0.0.0.0:{AGENT_PORT}
  secretFiles: [{folder}/webhook.secret]
  stateDir: {folder}/agent
  engine: {{ nginx: {{ configFile: {folder}/nginx.conf, minReloadInterval: 1s }} }}
"
    )
}

fn controller_yaml(site: &Site, config: &ReplicaConfig) -> Result<String> {
    let folder = site.folder().display();
    let ReplicaConfig { drain_timeout, finalizer, election } = config;
    let more = if election.is_empty() { String::new() } else { format!(", {election}") };
    Ok(format!(
        "cluster: {{ name: testbed, kubeconfig: {kubeconfig} }}
nodes: {{ joinDelay: 1s, drainTimeout: {drain_timeout}, finalizer: {finalizer} }}
store: {{ mongodb: {{ uriFile: {folder}/mongodb.uri, database: tidegate }} }}
listeners:
  - {{ name: http, bind: \"0.0.0.0:{PORT}\", targetPort: 80 }}
loadBalancers:
  - {lb}
leaderElection: {{ enabled: true, namespace: tidegate, lease: tidegate{more} }}
api: {{ listen: 127.0.0.1:8685, tokenFile: {folder}/api.token }}
",
        kubeconfig = site.kubeconfig().display(),
        lb = lb_yaml(site)?,
    ))
}
