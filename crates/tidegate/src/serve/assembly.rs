//! Puts the parts of each role together, and takes them apart at the end.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tidegate_agent::{Agent, AgentHandle};
use tidegate_controller::{Controller, HttpPublisher, Publisher, SystemClock, serve_api};
use tidegate_store::{SqliteStore, Store};
use tokio_util::sync::CancellationToken;

use super::kubernetes::LateNodeSource;
use super::local::LocalPublisher;
use super::settings::{agent_settings, controller_settings, own_name, publisher_settings, webhook_settings};
use super::{crash, shutdown};
use crate::config::{AgentConfig, ControllerConfig, RunConfig, StoreConfig};

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
        Ok(Arc::new(publisher) as Arc<dyn Publisher>)
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
    let store = open_store(config).await?;
    let source = Arc::new(LateNodeSource::new(config.kubeconfig.clone(), config.policy.clone()));
    let settings = controller_settings(config);
    let controller = Controller::new(settings, store, source, publishers, Arc::new(SystemClock), &mut registry);
    let api = serve_api(controller.api(), config.api, text_of(registry), shutdown.clone()).await?;
    tracing::info!(address = %api.local_addr, "the API listens");
    let ended = controller.run(shutdown.clone()).await;
    shutdown.cancel();
    api.handle.await.context("the API")?;
    Ok(ended?)
}

async fn open_store(config: &ControllerConfig) -> anyhow::Result<Arc<dyn Store>> {
    let StoreConfig::Sqlite(path) = config.store.clone();
    let cluster = config.cluster.clone();
    // Checking the integrity of a large file takes a while, and agents are served meanwhile.
    let store = tokio::task::spawn_blocking(move || SqliteStore::open(&path, &cluster)).await.context("store")??;
    Ok(match crash::hook() {
        Some(hook) => Arc::new(store.with_step_hook(hook)),
        None => Arc::new(store),
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
