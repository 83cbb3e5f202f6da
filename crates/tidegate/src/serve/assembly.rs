//! Puts the parts of each role together, and takes them apart at the end.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tidegate_agent::{Agent, AgentHandle};
use tidegate_controller::{ApiToken, Controller, HttpPublisher, LeaseClient, Publisher, Seams, SystemClock, serve_api};
use tokio_util::sync::CancellationToken;

use super::kubernetes::{Cluster, LateFollowSource, LateLease, LateNodeSource, LateNodeWriter};
use super::local::LocalPublisher;
use super::settings::{
    agent_settings, controller_settings, instance_name, namespace_of, own_name, publisher_settings, webhook_settings,
};
use super::{crash, shutdown};
use crate::config::one_line::{Kind, read_one_line};
use crate::config::{AgentConfig, ControllerConfig, RunConfig};
use crate::recorded::open_store;

type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// Controller, store and agent; ends when a signal says so, or when the controller cannot go on.
pub async fn run(config: RunConfig, take_over: bool) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal()?;
    let mut registry = new_registry();
    let agent = Agent::start(agent_settings(&config.agent, take_over), crash::hook(), &mut registry).await?;
    let publisher: Arc<dyn Publisher> = Arc::new(LocalPublisher::new(own_name()?, agent.clone()));
    let ended = control(&config.controller, vec![publisher], registry, shutdown).await;
    end(agent).await;
    ended
}

/// The controller; ends when a signal says so, or when it cannot go on.
pub async fn controller(config: ControllerConfig) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal()?;
    let publishers = config.load_balancers.iter().map(|lb| {
        let publisher = HttpPublisher::new(publisher_settings(lb)?)?;
        Ok(crash::stopping(Arc::new(publisher)))
    });
    let publishers = publishers.collect::<anyhow::Result<Vec<_>>>()?;
    control(&config, publishers, new_registry(), shutdown).await
}

/// The agent; ends when a signal says so.
pub async fn agent(config: AgentConfig, take_over: bool) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal()?;
    let webhook = webhook_settings(&config.webhook)?;
    let mut registry = new_registry();
    let agent = Agent::start(agent_settings(&config, take_over), crash::hook(), &mut registry).await?;
    let server = tidegate_agent::serve_webhook(agent.clone(), webhook, text_of(registry), shutdown.clone()).await?;
    shutdown.cancelled().await;
    server.stopped().await;
    end(agent).await;
    Ok(())
}

async fn control(
    config: &ControllerConfig,
    publishers: Vec<Arc<dyn Publisher>>,
    mut registry: Registry,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let token = config.token_file.as_ref().map(|path| read_one_line(path, Kind::Token)).transpose()?;
    let token = token.and_then(|line| ApiToken::new(line.reveal()));
    let seams = seams(config, publishers).await?;
    let controller = Controller::new(controller_settings(config), seams, &mut registry);
    let api = serve_api(controller.api().with_token(token), config.api, text_of(registry), shutdown.clone()).await?;
    tracing::info!(address = %api.local_addr, "the API listens");
    let ended = controller.run(shutdown.clone()).await;
    shutdown.cancel();
    api.handle.await.context("the API")?;
    Ok(ended?)
}

/// Where this controller meets the world.
async fn seams(config: &ControllerConfig, publishers: Vec<Arc<dyn Publisher>>) -> anyhow::Result<Seams> {
    let cluster = Cluster::new(config.kubeconfig.clone());
    let election = config.election.as_ref().map(|election| {
        let namespace = namespace_of(election);
        tracing::info!(%namespace, lease = %election.lease, "replicas elect the one that decides");
        let lease = LateLease::new(cluster.clone(), namespace, election.lease.clone());
        Arc::new(lease) as Arc<dyn LeaseClient>
    });
    Ok(Seams {
        store: open_store(&config.store, &config.cluster, crash::hook()).await?,
        source: Arc::new(LateNodeSource::new(cluster.clone(), config.policy.clone())),
        follows: Arc::new(LateFollowSource::new(cluster.clone())),
        publishers,
        clock: Arc::new(SystemClock),
        nodes: Arc::new(LateNodeWriter::new(cluster, instance_name())),
        election,
    })
}

async fn end(agent: AgentHandle) {
    agent.shutdown().await;
    tracing::info!("ended; the engine goes on serving what is live");
}

fn new_registry() -> Registry {
    let mut registry = Registry::default();
    let labels = vec![("version", env!("CARGO_PKG_VERSION")), ("target", std::env::consts::ARCH)];
    registry.register("tidegate_build", "What this process was built from", Info::new(labels));
    registry
}

fn text_of(registry: Registry) -> MetricsText {
    Arc::new(move || {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    })
}
