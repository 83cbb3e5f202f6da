//! The agents: do they answer, to our signature, and how are they?

use futures::future::join_all;
use tidegate_agent::preflight::Finding;
use tidegate_controller::{HttpPublisher, Publisher as _};
use tidegate_core::protocol::{AgentStatus, EngineHealth};

use crate::config::LoadBalancerConfig;
use crate::serve::settings::publisher_settings;

const ABOUT: &str = "agent";

/// One finding for each load balancer.
pub(super) async fn examine(balancers: &[LoadBalancerConfig]) -> Vec<Finding> {
    join_all(balancers.iter().map(of_one)).await
}

async fn of_one(config: &LoadBalancerConfig) -> Finding {
    let publisher = match publisher_settings(config).map(HttpPublisher::new) {
        Ok(Ok(publisher)) => publisher,
        Ok(Err(error)) => return Finding::of_error(ABOUT, &error),
        Err(error) => return Finding::of_error(ABOUT, &error),
    };
    match publisher.status().await {
        Ok(status) => of_status(config.name.as_str(), &status),
        Err(error) => Finding::of_error(ABOUT, &error),
    }
}

fn of_status(name: &str, status: &AgentStatus) -> Finding {
    let AgentStatus { version, engine, engine_version, health, .. } = status;
    let engine = format!("{engine} {}", engine_version.as_deref().unwrap_or_default());
    let what = format!("{name}: tidegate {version} with {}", engine.trim());
    match health {
        EngineHealth::Down { reason, .. } if status.live.is_some() => {
            Finding::failure(ABOUT, format!("{what}, which is down: {reason}"), "look at the log of the agent there")
        }
        _ => Finding::good(ABOUT, what),
    }
}
